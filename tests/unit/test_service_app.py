"""The service over HTTP, on a database and a cache in memory."""

from __future__ import annotations

import json
import logging
import re
import time
from typing import Any
from xml.etree import ElementTree

import pytest
import yaml
from flask.testing import FlaskClient
from prometheus_client.parser import text_string_to_metric_families
from werkzeug.test import TestResponse

import service
from service.breaker import Breaker
from service.observability import JsonFormatter, Metrics
from service.store import Result
from tests.unit.service_fakes import FakeCache, FakeDatabase

BROWSER = {"Accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.fixture
def client(database: FakeDatabase, cache: FakeCache, monkeypatch: pytest.MonkeyPatch) -> FlaskClient:
    monkeypatch.delenv("PROMETHEUS_MULTIPROC_DIR", raising=False)
    breakers = {name: Breaker(time.monotonic) for name in ("database", "cache")}
    return service.build_app(database, cache, breakers, Metrics()).test_client()


def _problem(response: TestResponse) -> dict[str, Any]:
    """The members of a problem, which has those of RFC 9457 and the response's own status."""
    assert response.mimetype == "application/problem+json", response.text
    members: dict[str, Any] = response.get_json()
    assert {"type", "title", "status", "detail", "instance"} <= members.keys()
    assert members["request_id"] == response.headers["X-Request-ID"]
    assert (members["status"], members["instance"]) == (response.status_code, response.request.path)
    return members


# Counting and reading


def test_the_homepage_counts_a_visit_and_tells_a_program_in_json(client: FlaskClient) -> None:
    response = client.get("/")
    assert (response.status_code, response.mimetype) == (200, "application/json")
    assert response.get_json() == {"page": "homepage", "visits": 42, "source": "database"}
    assert client.get("/").get_json() == {"page": "homepage", "visits": 43, "source": "cache"}


def test_a_post_counts_a_visit_of_any_page_and_a_get_reads_it(client: FlaskClient, database: FakeDatabase) -> None:
    assert [client.post("/visits/about").get_json()["visits"] for _ in range(3)] == [1, 2, 3]
    assert client.get("/visits/about").get_json() == {"page": "about", "visits": 3, "source": "cache"}
    assert database.counts == {"homepage": 41, "about": 3}


def test_the_homepage_is_the_page_of_that_name(client: FlaskClient) -> None:
    client.get("/")
    assert client.post("/visits/homepage").get_json()["visits"] == 43


@pytest.mark.parametrize(
    ("method", "headers"),
    [
        ("HEAD", {}),
        ("GET", {"Sec-Purpose": "prefetch"}),
        ("GET", {"Sec-Purpose": "prefetch;prerender"}),
        ("GET", {"Purpose": "prefetch"}),
    ],
)
def test_a_head_or_a_prefetch_is_not_counted(
    method: str, headers: dict[str, str], client: FlaskClient, database: FakeDatabase
) -> None:
    response = client.open("/", method=method, headers=headers)
    assert response.status_code == 200
    assert database.counts == {"homepage": 41}
    assert response.text == "" if method == "HEAD" else response.get_json()["visits"] == 41


@pytest.mark.parametrize("method", ["GET", "HEAD"])
def test_reading_a_page_counts_nothing_and_makes_no_row(
    method: str, client: FlaskClient, database: FakeDatabase
) -> None:
    assert client.open("/visits/new", method=method).status_code == 200
    assert database.counts == {"homepage": 41}


# A page or JSON


@pytest.mark.parametrize(
    ("accept", "mimetype"),
    [
        (BROWSER["Accept"], "text/html"),
        ("text/html", "text/html"),
        ("application/json", "application/json"),
        ("*/*", "application/json"),
        ("", "application/json"),
        ("image/png", "application/json"),
        ("text/html;q=0.5, application/json", "application/json"),
    ],
)
def test_a_browser_gets_a_page_and_a_program_gets_json(accept: str, mimetype: str, client: FlaskClient) -> None:
    response = client.get("/", headers={"Accept": accept})
    assert response.mimetype == mimetype
    assert "Accept" in response.vary


@pytest.mark.parametrize(("before", "words"), [(0, "1 visit"), (1, "2 visits"), (999999, "1,000,000 visits")])
def test_the_page_says_the_count_and_where_it_was_looked_up(
    before: int, words: str, client: FlaskClient, database: FakeDatabase
) -> None:
    database.counts["homepage"] = before
    text = client.get("/", headers=BROWSER).text
    assert f"<title>{words}</title>" in text
    assert 'data-source="database"' in text
    assert 'data-source="cache"' in client.get("/", headers=BROWSER).text


@pytest.mark.parametrize(("purpose", "said"), [(None, "Yours is number 42"), ("prefetch", "This view was not counted")])
def test_the_page_says_whether_it_was_counted(purpose: str | None, said: str, client: FlaskClient) -> None:
    headers = BROWSER | ({"Sec-Purpose": purpose} if purpose else {})
    assert said in client.get("/", headers=headers).text


def _legs(text: str) -> list[tuple[str, str]]:
    """The state of the picture's lines to Redis and to PostgreSQL, and the word beside each."""
    picture = ElementTree.fromstring(re.findall(r"<svg.*?</svg>", text, re.DOTALL)[0])
    legs = (picture.find(f".//g[@id='leg-{name}']") for name in ("cache", "database"))
    return [(leg.attrib["data-state"], leg.findtext("text[@class='word']") or "") for leg in legs if leg is not None]


def test_the_page_draws_the_path_of_its_request(client: FlaskClient, database: FakeDatabase, cache: FakeCache) -> None:
    def legs() -> list[tuple[str, str]]:
        return _legs(client.get("/", headers=BROWSER).text)

    assert legs() == [("asked", "miss"), ("used", "commit")]
    assert legs() == [("used", "hit"), ("used", "commit")]
    database.down = True
    assert legs() == [("used", "hit"), ("failed", "no answer")]
    database.down = False
    cache.result = Result.ERROR
    assert legs() == [("failed", "no answer"), ("used", "commit")]
    cache.result = Result.BYPASS
    assert legs() == [("failed", "not asked"), ("used", "commit")]


def test_the_script_tells_a_path_in_the_words_of_the_page(client: FlaskClient, cache: FakeCache) -> None:
    with client.get("/static/page.js") as response:
        script = response.get_data(as_text=True)
    for result in (Result.HIT, Result.HIT, Result.ERROR, Result.BYPASS):  # the first finds the cache empty
        cache.result = result
        text = client.get("/", headers=BROWSER).text
        (caption,) = re.findall(r'id="path-text">([^.<]+)\.', text)
        assert caption in script
        assert _legs(text)[0][1] in script


def test_what_the_page_links_to_is_there(client: FlaskClient) -> None:
    text = client.get("/", headers=BROWSER).text
    paths = re.findall(r'(?:href|src|data-\w+)="(/[^"]*)"', text)
    assert set(paths) == {
        "/static/page.css", "/static/page.js", "/static/icon.svg", "/visits/homepage", "/badge/homepage.svg",
        "/health", "/metrics", "/openapi.yaml",
    }  # fmt: skip
    for path in set(paths):
        with client.get(path) as response:
            assert response.status_code == 200, path


# Without PostgreSQL


def test_a_refused_visit_has_the_last_known_count_and_retry_after(client: FlaskClient, database: FakeDatabase) -> None:
    client.post("/visits/about")
    database.down = True
    response = client.post("/visits/about")
    assert response.status_code == 503
    assert response.headers["Retry-After"] == "1"
    problem = _problem(response)
    assert (problem["type"], problem["last_known"]) == ("urn:problem-type:database-unavailable", 1)
    assert database.counts["about"] == 1


def test_a_visit_is_refused_without_a_count_where_redis_has_none(client: FlaskClient, database: FakeDatabase) -> None:
    database.down = True
    for response in (client.get("/"), client.post("/visits/about"), client.get("/visits/about")):
        assert response.status_code == 503
        assert "last_known" not in _problem(response)


def test_a_read_is_served_from_redis_and_marked_stale(client: FlaskClient, database: FakeDatabase) -> None:
    client.get("/")
    database.down = database.possibly_down = True
    response = client.get("/visits/homepage")
    assert response.get_json() == {"page": "homepage", "visits": 42, "source": "cache", "stale": True}
    assert response.headers["Cache-Status"] == 'redis; hit; detail="stale"'


def test_a_visit_of_unknown_outcome_is_reported_without_retry_after(
    client: FlaskClient, database: FakeDatabase
) -> None:
    client.get("/")
    database.breaks_on_commit = True
    response = client.get("/")
    assert response.status_code == 503
    assert "Retry-After" not in response.headers
    problem = _problem(response)
    assert (problem["type"], problem["last_known"]) == ("urn:problem-type:outcome-unknown", 42)


def test_a_browser_gets_a_problem_as_a_page(client: FlaskClient, database: FakeDatabase) -> None:
    client.get("/")
    database.down = True
    response = client.get("/", headers=BROWSER)
    assert (response.status_code, response.mimetype) == (503, "text/html")
    assert "The database is unavailable." in response.text
    assert "<title>42 visits, last known</title>" in response.text


# Other problems


@pytest.mark.parametrize("page", ["UPPER", "-dash", "a%20b", "%C3%A9", "a" * 65, "a%0A", "<script>"])
def test_a_name_that_no_page_can_have_is_a_problem(page: str, client: FlaskClient, database: FakeDatabase) -> None:
    for response in (client.get(f"/visits/{page}"), client.post(f"/visits/{page}")):
        assert response.status_code == 400
        assert _problem(response)["type"] == "urn:problem-type:invalid-page"
    assert database.counts == {"homepage": 41}


def test_what_is_not_there_is_a_problem(client: FlaskClient) -> None:
    for path in ("/nothing", "/visits/", "/visits/a/b", "/static/nothing.css"):
        response = client.get(path, headers=BROWSER)
        assert response.status_code == 404, path
        assert _problem(response)["title"] == "Not Found"


@pytest.mark.parametrize(("method", "path"), [("POST", "/"), ("DELETE", "/visits/a"), ("POST", "/health")])
def test_a_method_that_is_not_allowed_is_a_problem_that_says_which_are(
    method: str, path: str, client: FlaskClient
) -> None:
    response = client.open(path, method=method)
    assert response.status_code == 405
    assert "GET" in response.headers["Allow"]
    assert _problem(response)["title"] == "Method Not Allowed"


def test_a_bug_is_a_problem_that_tells_nothing_of_the_inside(client: FlaskClient, database: FakeDatabase) -> None:
    def fail() -> None:
        raise RuntimeError("inside")

    database.before = fail
    response = client.get("/")
    assert response.status_code == 500
    assert "inside" not in response.text
    assert _problem(response)["title"] == "Internal Server Error"


# Headers


def test_cache_status_says_how_redis_took_part(client: FlaskClient, database: FakeDatabase, cache: FakeCache) -> None:
    def status(method: str = "GET") -> str:
        return client.open("/visits/homepage", method=method).headers["Cache-Status"]

    assert status() == "redis; fwd=miss; stored"
    assert status() == "redis; hit"
    assert status("POST") == "redis; hit"
    cache.copies.clear()
    assert status("POST") == "redis; fwd=miss; stored"
    database.possibly_down = True
    assert status() == "redis; fwd=stale; stored", "a copy that was there, but not enough"
    cache.result = Result.ERROR
    assert status() == 'redis; fwd=miss; detail="error"'
    assert status("POST") == 'redis; fwd=miss; detail="error"'
    cache.result = Result.BYPASS
    assert status() == 'redis; fwd=bypass; detail="breaker-open"'


@pytest.mark.parametrize("path", ["/", "/visits/a", "/visits/A", "/health", "/livez", "/metrics", "/nothing"])
def test_no_response_is_cached_sniffed_or_framed(path: str, client: FlaskClient) -> None:
    headers = client.get(path).headers
    assert headers["Cache-Control"] == "no-store"
    assert headers["X-Content-Type-Options"] == "nosniff"
    assert headers["Referrer-Policy"] == "no-referrer"
    assert "default-src 'none'" in headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in headers["Content-Security-Policy"]


def test_a_badge_shows_the_count_counts_nothing_and_is_cacheable(client: FlaskClient, database: FakeDatabase) -> None:
    database.counts["homepage"] = 1234567
    response = client.get("/badge/homepage.svg")
    assert (response.status_code, response.mimetype) == (200, "image/svg+xml")
    assert 'aria-label="visits: 1,234,567"' in response.text
    ElementTree.fromstring(response.text)
    assert response.headers["Cache-Control"] == "public, max-age=10"
    assert response.headers["Cross-Origin-Resource-Policy"] == "cross-origin"
    again = client.get("/badge/homepage.svg", headers={"If-None-Match": response.headers["ETag"]})
    assert (again.status_code, again.data) == (304, b"")
    client.post("/visits/homepage")
    moved = client.get("/badge/homepage.svg", headers={"If-None-Match": response.headers["ETag"]})
    assert (moved.status_code, "1,234,568" in moved.text) == (200, True)
    assert client.get("/badge/UPPER.svg").status_code == 400
    assert "visits: 0" in client.get("/badge/nobody.svg").text


def test_every_address_is_in_the_openapi_file_and_each_of_the_file_exists(client: FlaskClient) -> None:
    described = yaml.safe_load(client.get("/openapi.yaml").text)["paths"]
    told = {(path, method.upper()) for path, item in described.items() for method in item if method != "parameters"}
    rules = [rule for rule in client.application.url_map.iter_rules() if rule.endpoint != "static"]
    there = {
        (rule.rule.replace("<", "{").replace(">", "}"), method)
        for rule in rules
        for method in (rule.methods or set()) - {"HEAD", "OPTIONS"}
    }
    assert told == there


def test_the_style_sheet_may_be_kept(client: FlaskClient) -> None:
    with client.get("/static/page.css") as response:
        assert response.mimetype == "text/css"
        assert "no-store" not in response.headers["Cache-Control"]


# The request's id


@pytest.mark.parametrize("identity", ["0af7651916cd43dd8448eb211c80319c", "Root=1-67891233:a/b+c", "x" * 128])
def test_a_well_formed_request_id_is_kept(identity: str, client: FlaskClient) -> None:
    assert client.get("/livez", headers={"X-Request-ID": identity}).headers["X-Request-ID"] == identity


@pytest.mark.parametrize("identity", ["", "a b", 'a"b', "a\tb", "é", "x" * 129])
def test_any_other_request_id_is_replaced_by_one_of_our_own(identity: str, client: FlaskClient) -> None:
    ours = [client.get("/livez", headers={"X-Request-ID": identity}).headers["X-Request-ID"] for _ in range(2)]
    assert all(re.fullmatch("[0-9a-f]{32}", found) for found in ours), ours
    assert ours[0] != ours[1]


def test_what_is_logged_while_a_request_is_answered_has_its_id(
    client: FlaskClient, database: FakeDatabase, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.handler.setFormatter(JsonFormatter())
    database.before = lambda: logging.getLogger("service").warning("the database is asked")
    client.get("/", headers={"X-Request-ID": "one"})
    logging.getLogger("service").warning("nobody asks")
    asked, later = map(json.loads, caplog.text.splitlines())
    assert asked["request_id"] == "one"
    assert "request_id" not in later


# Health


@pytest.mark.parametrize(
    ("down", "redis", "status_code", "status"),
    [
        (False, Result.HIT, 200, "pass"),
        (False, Result.ERROR, 200, "warn"),
        (True, Result.HIT, 503, "fail"),
        (True, Result.ERROR, 503, "fail"),
    ],
)
def test_health_is_ready_exactly_if_visits_are_counted(
    down: bool,
    redis: Result,
    status_code: int,
    status: str,
    client: FlaskClient,
    database: FakeDatabase,
    cache: FakeCache,
) -> None:
    database.down = down
    cache.result = redis
    response = client.get("/health")
    assert (response.status_code, response.mimetype) == (status_code, "application/health+json")
    report = response.get_json()
    assert report["status"] == status
    assert report["checks"]["database"]["status"] == ("fail" if down else "pass")
    assert report["checks"]["cache"]["status"] == ("fail" if redis is Result.ERROR else "pass")
    assert (client.post("/visits/a").status_code == 200) == (status_code == 200)


def test_the_process_is_alive_whatever_the_servers_do(
    client: FlaskClient, database: FakeDatabase, cache: FakeCache
) -> None:
    database.down = True
    cache.result = Result.ERROR
    response = client.get("/livez")
    assert (response.status_code, response.get_json()) == (200, {"status": "pass"})
    assert (database.reads, cache.asked) == (0, 0)


# Metrics


def _metrics(client: FlaskClient) -> dict[tuple[str, frozenset[str]], float]:
    """Every sample by its name and the values of its labels."""
    response = client.get("/metrics")
    assert response.mimetype == "text/plain"
    families = text_string_to_metric_families(response.text)
    return {
        (sample.name, frozenset(sample.labels.values())): sample.value
        for family in families
        for sample in family.samples
    }


def test_metrics_count_visits_look_ups_and_requests(client: FlaskClient) -> None:
    client.get("/")
    client.post("/visits/a")
    client.post("/visits/b")
    client.get("/visits/a")
    metrics = _metrics(client)
    assert metrics["visits_total", frozenset()] == 3
    assert metrics["cache_requests_total", frozenset({"miss"})] == 3
    assert metrics["cache_requests_total", frozenset({"hit"})] == 1
    assert metrics["visit_batch_size_sum", frozenset()] == 3
    assert metrics["visit_commit_duration_seconds_count", frozenset()] == 3
    requests = {
        labels: value for (name, labels), value in metrics.items() if name == "http_request_duration_seconds_count"
    }
    assert requests == {
        frozenset({"GET", "/", "200"}): 1,
        frozenset({"POST", "/visits/<page>", "200"}): 2,
        frozenset({"GET", "/visits/<page>", "200"}): 1,
    }


def test_a_visit_that_was_refused_is_not_in_the_metrics(client: FlaskClient, database: FakeDatabase) -> None:
    database.down = True
    client.get("/")
    metrics = _metrics(client)
    assert metrics["visits_total", frozenset()] == 0
    assert metrics["http_request_duration_seconds_count", frozenset({"GET", "/", "503"})] == 1


def test_what_clients_make_up_makes_no_new_series(client: FlaskClient) -> None:
    for n in range(5):
        client.open(f"/made-up-{n}", method=f"MADE{n}")
        client.get(f"/visits/page-{n}")
    names = [key for key in _metrics(client) if key[0] == "http_request_duration_seconds_count"]
    assert {labels for _, labels in names} == {
        frozenset({"other", "none", "404"}),
        frozenset({"GET", "/visits/<page>", "200"}),
    }


@pytest.mark.parametrize("dependency", ["database", "cache"])
def test_a_breaker_is_shown_while_it_is_open(dependency: str, client: FlaskClient) -> None:
    metrics: Metrics = client.application.extensions["visit_counter"].metrics
    for is_open in (False, True, False):
        metrics.set_breaker(dependency, is_open)
        assert _metrics(client)["breaker_open", frozenset({dependency})] == is_open
