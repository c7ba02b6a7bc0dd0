"""The page in a real browser: it is true, up to date and accessible, and it requests nothing from other hosts."""

from __future__ import annotations

import re

import pytest
from playwright.sync_api import Browser, Route, expect

from tests.browser.conftest import Watched
from tests.counter.stores import truth
from tests.servers import PostgresServer, RedisServer, ServiceServer


def test_loading_it_counts_one_visit_and_looking_at_it_none(watched: Watched, postgres: PostgresServer) -> None:
    watched.open()
    expect(watched.page.locator("#count")).to_have_text("1")
    watched.await_reads(3)
    assert truth(postgres) == 1


def test_the_count_follows_the_visits_of_others(watched: Watched) -> None:
    watched.open()
    watched.service.post("/visits/homepage")
    watched.service.post("/visits/homepage")
    expect(watched.page.locator("#count")).to_have_text("3")
    expect(watched.page).to_have_title("3 visits")


def test_the_button_counts_one_visit_and_shows_its_way(watched: Watched, postgres: PostgresServer) -> None:
    watched.open()
    button = watched.page.get_by_role("button", name="Count a visit")
    button.click()
    expect(watched.page.locator("#said")).to_have_text("Yours is number 2, committed in PostgreSQL.")
    expect(watched.page.locator("#count")).to_have_text("2")
    expect(watched.page.locator("#leg-database .word")).to_have_text("commit")
    expect(button).to_be_focused()
    assert truth(postgres) == 2
    postgres.stop()
    button.click()
    expect(watched.page.locator("#trouble")).to_contain_text("Nothing was counted")
    expect(watched.page.locator("#said")).to_be_empty()
    watched.await_reads(2)
    expect(watched.page.locator("#trouble")).to_contain_text("Nothing was counted")
    postgres.start()
    expect(watched.page.locator("#trouble")).to_be_empty()


def test_a_look_does_not_contradict_the_visit_above_it(watched: Watched) -> None:
    watched.open()
    watched.await_reads(3)
    expect(watched.page.locator("#said")).to_contain_text("committed in PostgreSQL")
    expect(watched.page.locator("#path-text")).to_contain_text("The visit was committed in PostgreSQL")
    expect(watched.page.locator("#leg-database .word")).to_have_text("commit")


def test_it_says_what_it_is_and_where_its_code_is(watched: Watched) -> None:
    watched.open()
    what = watched.page.locator("#what")
    expect(what).to_contain_text("stackctl playground")
    expect(what).to_contain_text("service/")


def test_without_postgresql_and_a_copy_count_is_unknown_and_app_warns(
    watched: Watched, postgres: PostgresServer
) -> None:
    postgres.stop()
    for scripted in (False, True):
        if not scripted:
            watched.page.route("**/page.js", lambda route: route.abort())
        else:
            watched.page.unroute("**/page.js")
        watched.open()
        expect(watched.page.get_by_role("heading", level=1)).to_have_text("Unknown number of visits")
        expect(watched.page.locator("#part-app")).to_have_attribute("data-status", "warn")
        expect(watched.page.locator("#part-app .status")).to_have_text("answers, counts nothing")
    watched.await_reads(2)
    expect(watched.page.get_by_role("heading", level=1)).to_have_text("Unknown number of visits")


def test_the_path_of_a_request_flips_from_postgresql_to_redis(watched: Watched) -> None:
    watched.page.route("**/page.js", lambda route: route.abort())
    watched.open()
    path = watched.page.locator("#path")
    expect(path).to_have_attribute("data-source", "database")
    expect(watched.page.locator("#path-text")).to_contain_text("PostgreSQL gave it")
    expect(watched.page.locator("#leg-cache .word")).to_have_text("miss")
    watched.open()
    expect(path).to_have_attribute("data-source", "cache")
    expect(watched.page.locator("#path-text")).to_contain_text("Redis had the count")
    expect(watched.page.locator("#leg-database .word")).to_have_text("commit")


def test_an_outage_of_redis_shows_and_its_end_too(watched: Watched, redis: RedisServer) -> None:
    watched.open()
    part = watched.page.locator("#part-cache")
    expect(part).to_have_attribute("data-status", "pass")
    redis.kill()
    expect(part).to_have_attribute("data-status", "fail")
    expect(part).to_contain_text("counts come from PostgreSQL")
    expect(watched.page.locator("#path")).to_have_attribute("data-source", "database")
    expect(watched.page.locator("#leg-cache")).to_have_attribute("data-state", "failed")
    expect(watched.page.locator("#trouble")).to_be_empty()
    redis.start()
    expect(part).to_have_attribute("data-status", "pass")
    expect(watched.page.locator("#path")).to_have_attribute("data-source", "cache")


def test_an_outage_of_postgresql_shows_and_its_end_too(watched: Watched, postgres: PostgresServer) -> None:
    watched.open()
    headline, trouble = watched.page.get_by_role("heading", level=1), watched.page.locator("#trouble")
    postgres.stop()
    expect(trouble).to_contain_text("the number may be behind")
    expect(headline).to_have_text("1 visit, last known")
    expect(watched.page.locator("#part-database")).to_have_attribute("data-status", "fail")
    expect(watched.page.locator("#leg-cache .word")).to_have_text("hit")
    expect(watched.page.locator("#leg-database .word")).to_have_text("no answer")
    watched.open()
    expect(trouble).to_contain_text("Nothing was counted")
    expect(headline).to_have_text("1 visit, last known")
    postgres.start()
    expect(watched.page.locator("#part-database")).to_have_attribute("data-status", "pass")
    expect(trouble).to_be_empty()
    expect(headline).to_have_text("1 visit")


def test_without_both_servers_the_last_count_stays_and_is_marked(
    watched: Watched, postgres: PostgresServer, redis: RedisServer
) -> None:
    watched.open()
    postgres.stop()
    redis.kill()
    expect(watched.page.locator("#path")).to_have_attribute("data-source", "none")
    expect(watched.page.get_by_role("heading", level=1)).to_have_text("1 visit, last known")
    for part in ("cache", "database"):
        expect(watched.page.locator(f"#part-{part}")).to_have_attribute("data-status", "fail")


def test_the_page_reports_a_missing_app_and_resumes_when_it_is_back(watched: Watched) -> None:
    watched.open()
    expect(watched.page.locator("#part-app")).to_have_attribute("data-status", "pass")
    watched.service.stop()
    expect(watched.page.locator("#trouble")).to_contain_text("The app does not answer")
    expect(watched.page.get_by_role("heading", level=1)).to_have_text("1 visit, last known")
    expect(watched.page.locator("#rate .now")).not_to_contain_text("/s")
    watched.service.start()
    expect(watched.page.locator("#part-app")).to_have_attribute("data-status", "pass")
    expect(watched.page.locator("#trouble")).to_be_empty()
    expect(watched.page.get_by_role("heading", level=1)).to_have_text("1 visit")


def test_a_hidden_page_asks_nothing(watched: Watched) -> None:
    watched.page.clock.install()
    watched.open()
    watched.look_again()
    _hide(watched, "true")
    watched.page.clock.run_for(600_000)
    watched.page.evaluate(_ROUND_TRIP)
    assert watched.reads() == 1
    with watched.page.expect_request("**/visits/homepage"):
        _hide(watched, "false")


def _hide(watched: Watched, hidden: str) -> None:
    watched.page.evaluate(
        f"Object.defineProperty(document, 'hidden', {{value: {hidden}, configurable: true}});"
        "document.dispatchEvent(new Event('visibilitychange'))"
    )


# What was asked before it is in Playwright's list after it.
_ROUND_TRIP = "fetch('/livez').then((response) => response.text())"


def test_a_screen_reader_hears_a_new_count_only_now_and_then(watched: Watched) -> None:
    watched.page.clock.install()
    watched.open()
    count, spoken = watched.page.locator("#count"), watched.page.locator("#spoken")
    for number in ("2", "3"):
        watched.service.post("/visits/homepage")
        watched.look_again()
        expect(count).to_have_text(number)
        expect(spoken).to_be_empty()
    watched.page.clock.fast_forward(15_000)
    expect(spoken).to_have_text("3 visits")
    expect(spoken).to_have_role("status")
    assert watched.page.locator("[aria-live], output, [role=status]").evaluate_all(
        "all => all.map(each => each.id)"
    ) == [
        "said",
        "trouble",
        "spoken",
    ]


def test_the_plots_show_what_all_clients_cause(watched: Watched) -> None:
    watched.open()
    expect(watched.page.locator("#plots")).to_be_visible()
    for _ in range(20):
        watched.service.get("/visits/homepage")
    for name, unit in (("rate", "/s"), ("hits", "%"), ("latency", "ms")):
        expect(watched.page.locator(f"#{name} .now")).to_have_text(re.compile(rf"\d ?{unit}"))
        picture = watched.page.locator(f"#{name} svg")
        expect(picture).to_have_attribute(
            "aria-label", re.compile(rf": now \d.*{unit}, peak \d.*{unit} in the last \d+ s")
        )
        expect(picture.locator(".line")).to_have_attribute("d", re.compile(r"M[\d.]+ [\d.]+L"))
        # The first points stand at the right edge, below a top that holds still.
        began = picture.locator(".line").get_attribute("d")
        assert began is not None
        assert float(began[1:].split()[0]) > 150, began
    expect(watched.page.locator("#hits .top")).to_have_text("100 %")


def test_it_requests_no_other_host_and_logs_no_error(watched: Watched) -> None:
    watched.open()
    watched.await_reads(2)
    assert watched.complaints == []
    assert all(url.startswith(watched.address) for url in watched.asked), watched.asked


def test_what_stands_inline_is_not_run(watched: Watched) -> None:
    def poison(route: Route) -> None:
        answer = route.fetch()
        body = answer.text().replace("</main>", "<script>document.title = 'run'</script></main>")
        route.fulfill(response=answer, body=body)

    watched.page.route(watched.address, poison)
    watched.open()
    assert watched.page.title() != "run"
    assert any("Content Security Policy" in each for each in watched.complaints), watched.complaints


def test_every_control_is_reached_by_keyboard_and_shows_it(watched: Watched) -> None:
    watched.open()
    reached = []
    for _ in range(6):
        watched.page.keyboard.press("Tab")
        reached.append(watched.page.evaluate("document.activeElement.textContent"))
        outline = watched.page.evaluate("getComputedStyle(document.activeElement).outlineStyle")
        assert outline == "solid", reached
    assert reached == ["Count a visit", "JSON", "Badge", "Health", "Metrics", "OpenAPI"]


def test_a_screen_reader_finds_its_parts_and_pictures_have_words(watched: Watched) -> None:
    watched.open()
    page = watched.page
    expect(page.get_by_role("main")).to_be_visible()
    expect(page.get_by_role("heading", level=1)).to_have_text("1 visit")
    for name in ("Where the number came from", "The three parts"):
        expect(page.get_by_role("heading", name=name)).to_be_visible()
        expect(page.get_by_role("region", name=name)).to_be_visible()
    expect(page.get_by_role("img", name="PostgreSQL")).to_be_visible()
    expect(page.get_by_role("navigation", name="For programs")).to_be_visible()
    assert page.evaluate("document.documentElement.lang") == "en"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_all_text_has_contrast_that_of_an_outage_too(
    browser: Browser, lone_service: ServiceServer, redis: RedisServer, scheme: str
) -> None:
    redis.kill()
    context = browser.new_context(color_scheme=scheme)  # type: ignore[arg-type]
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{lone_service.port}/")
    ratios = page.evaluate(_CONTRAST)
    context.close()
    assert len(ratios) > 10
    assert [each for each in ratios if each["ratio"] < 4.5] == []


# The rule of WCAG 2.2, 1.4.3: of the text's colour to that of the first thing behind it that has one.
_CONTRAST = """() => {
  const parse = (text) => text.match(/[\\d.]+/g).map(Number);
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255)
    .map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const behind = (node) => {
    for (let at = node; at; at = at.parentElement) {
      const colour = parse(getComputedStyle(at).backgroundColor);
      if (colour.length < 4 || colour[3] > 0) return colour;
    }
  };
  return [...document.querySelectorAll("main *")]
    .filter((node) => [...node.childNodes].some((child) => child.nodeType === 3 && child.textContent.trim()))
    .filter((node) => node.checkVisibility())
    .map((node) => {
      const colour = getComputedStyle(node)[node instanceof SVGElement ? "fill" : "color"];
      const [a, b] = [light(parse(colour)), light(behind(node))];
      return { text: node.textContent.trim(), ratio: (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05) };
    });
}"""


def test_a_phone_needs_no_sideways_scrolling(browser: Browser, lone_service: ServiceServer) -> None:
    context = browser.new_context(viewport={"width": 320, "height": 640})
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{lone_service.port}/")
    expect(page.locator("#plots")).to_be_visible(timeout=20_000)
    width = page.evaluate("document.documentElement.scrollWidth")
    tops = page.locator(".plots svg").evaluate_all("all => all.map((each) => each.getBoundingClientRect().top)")
    context.close()
    assert width <= 320
    assert len(set(tops)) == 1, "the plots stand in one row"


def test_without_javascript_the_count_and_its_way_are_there(browser: Browser, lone_service: ServiceServer) -> None:
    context = browser.new_context(java_script_enabled=False)
    page = context.new_page()
    page.goto(f"http://127.0.0.1:{lone_service.port}/")
    expect(page.get_by_role("heading", level=1)).to_have_text("1 visit")
    expect(page.locator("#path")).to_have_attribute("data-source", "database")
    assert "Without JavaScript nothing here updates" in page.content()
    page.get_by_role("button", name="Count a visit").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("2 visits")
    expect(page.get_by_role("listitem").filter(has_text="PostgreSQL")).to_contain_text("works")
    context.close()


def test_what_a_browser_fetches_ahead_is_not_counted(watched: Watched, postgres: PostgresServer) -> None:
    watched.page.set_extra_http_headers({"Sec-Purpose": "prefetch"})
    watched.open()
    assert truth(postgres) == 0
