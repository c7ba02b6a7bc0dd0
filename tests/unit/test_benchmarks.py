"""What the benchmarks calculate, say and draw; and the client that they bring along."""

from __future__ import annotations

import json
import subprocess
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from xml.etree import ElementTree

import pytest

from benchmarks import client, load
from benchmarks.chart import chart
from benchmarks.figures import Comparison, Figure, Result, Target, difference, ratio
from benchmarks.load import Load, LoadFailed, Sample
from benchmarks.report import amount, as_json, compared, table
from benchmarks.service_rows import parse_pgbench

AT_LEAST_8 = Target(8, "at least")
FAST = Figure("service", "/s", (9000.0, 10000.0, 11000.0))
SLOW = Figure("plain", "/s", (1000.0, 2000.0, 1000.0))
LATE = Figure("p99, <service>", "s", (0.0015, 0.002, 0.0030))
RESULT = Result("visits", "GET / & more", (FAST, SLOW, LATE), (ratio("plain", AT_LEAST_8, FAST, SLOW),), ("a note",))


def test_a_figure_is_its_median_and_its_spread() -> None:
    assert FAST.median == 10000
    assert FAST.spread == pytest.approx(0.2)


def test_what_is_compared_is_compared_round_by_round() -> None:
    assert ratio("plain", AT_LEAST_8, FAST, SLOW).values == (9.0, 5.0, 11.0)
    assert difference("plain", AT_LEAST_8, FAST, SLOW).values == (8000.0, 8000.0, 10000.0)
    with pytest.raises(ValueError, match="shorter"):
        ratio("plain", AT_LEAST_8, FAST, Figure("one round", "/s", (1.0,)))


@pytest.mark.parametrize(
    ("target", "value", "verdict"),
    [
        (AT_LEAST_8, 8.0, "met"),
        (AT_LEAST_8, 6.0, "missed by 25%"),
        (Target(0.15, "at most", "s"), 0.15, "met"),
        (Target(0.15, "at most", "s"), 0.30, "missed by 100%"),
    ],
)
def test_a_target_is_met_or_missed_by_so_much(target: Target, value: float, verdict: str) -> None:
    assert Comparison("it", target, (value,)).verdict == verdict


def test_the_table_says_all_of_it() -> None:
    assert table([RESULT]) == "\n".join(
        [
            "visits: GET / & more",
            "  service             10,000/s  ± 10%",
            "  plain                1,000/s  ± 50%",
            "  p99, <service>        2.0 ms  ± 38%",
            "  ✓ 9.00 × plain (≥ 8 ×): met",
            "  note: a note",
        ]
    )


def test_each_amount_has_its_unit_and_those_of_one_unit_share_a_scale() -> None:
    moved = Figure("saved", "MB/s", (115.0, 116.04, 120.0))
    assert [amount(each) for each in (FAST, moved, LATE)] == ["10,000/s", "116.0 MB/s", "2.0 ms"]
    root = ElementTree.fromstring(chart([Result("save", "save", (FAST, moved, LATE))], "here"))
    widths = [float(bar.get("width", 0)) for bar in root.iter("{http://www.w3.org/2000/svg}rect")]
    assert min(widths) > max(widths) / 2


def test_the_json_has_every_round_and_every_verdict() -> None:
    document = json.loads(as_json([RESULT], {"client": "wrk"}))
    assert document["about"] == {"client": "wrk"}
    [row] = document["rows"]
    assert row["figures"][0] == {
        "name": "service",
        "unit": "/s",
        "values": [9e3, 1e4, 1.1e4],
        "median": 1e4,
        "spread": 0.2,
    }
    assert row["comparisons"][0]["target"] == {"bound": 8, "sense": "at least", "unit": "×"}
    assert row["comparisons"][0]["met"] is True


def test_the_chart_is_svg_with_a_bar_for_each_figure_and_its_spread() -> None:
    root = ElementTree.fromstring(chart([RESULT], "on 2 processors"))
    name = "{http://www.w3.org/2000/svg}"
    bars = {bar.get("class"): float(bar.get("width", 0)) for bar in root.iter(f"{name}rect")}
    assert len(list(root.iter(f"{name}rect"))) == len(list(root.iter(f"{name}line"))) == 3
    assert bars["late"] > 0
    words = [text.text for text in root.iter(f"{name}text")]
    assert {"p99, <service>", "on 2 processors"} <= set(words)
    assert compared(RESULT.comparisons[0]) in words
    ends = [float(text.get("x", 0)) for text in root.iter(f"{name}text")]
    assert max(ends) < float(root.get("width", 0))


def test_what_a_client_says_is_read() -> None:
    said = "Running 2s test\n...\nload: requests=5000 seconds=2.0 p50=0.001 p99=0.02 failed=0\n"
    assert load.parse(said) == Sample(2500.0, 0.001, 0.02)
    assert load.parse(said.replace("failed=0", "failed=0 busy=0.97")).client_was_busy


@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ("unable to connect to 127.0.0.1:1", "unable to connect"),
        ("load: requests=10 seconds=2.0 p50=0.001 p99=0.02 failed=3", "3 of 10 requests failed"),
        ("load: requests=0 seconds=2.0 p50=0 p99=0 failed=0", "0 of 0 requests failed"),
    ],
)
def test_a_load_that_failed_has_no_figures(said: str, reason: str) -> None:
    with pytest.raises(LoadFailed, match=reason):
        load.parse(said)


def test_what_pgbench_says_is_read() -> None:
    assert parse_pgbench("latency average = 20.5 ms\ntps = 1543.19 (without initial connection time)\n") == Sample(
        1543.19, 0.0205, 0.0205
    )
    with pytest.raises(LoadFailed, match="0 transactions"):
        parse_pgbench("number of transactions actually processed: 0 transactions\n")


@pytest.mark.parametrize(
    ("answer", "whole"),
    [
        (b"HTTP/1.1 200 OK\r\nContent-Le", False),
        (b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nab", False),
        (b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\nabc", True),
        (b"HTTP/1.1 204 No Content\r\n\r\n", True),
    ],
)
def test_an_answer_is_whole_when_all_that_its_head_promises_is_there(answer: bytes, whole: bool) -> None:
    assert client.is_whole(answer) is whole


class Answers(BaseHTTPRequestHandler):
    """200 to pages from 1 to 3, 404 to all others."""

    protocol_version = "HTTP/1.1"
    asked: set[str]

    def do_POST(self) -> None:
        self.asked.add(self.path)
        self.send_response(200 if self.path in {"/page-1", "/page-2", "/page-3"} else 404)
        self.send_header("Content-Length", "2")
        self.end_headers()
        self.wfile.write(b"ok")

    def log_message(self, *arguments: object) -> None:
        """Nothing."""


@pytest.fixture
def server() -> Iterator[ThreadingHTTPServer]:
    Answers.asked = set()
    with ThreadingHTTPServer(("127.0.0.1", 0), Answers) as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.02,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _bundled(wanted: Load, monkeypatch: pytest.MonkeyPatch) -> Sample:
    monkeypatch.setattr("shutil.which", lambda name: None)
    done = subprocess.run(load.command(wanted), capture_output=True, text=True, timeout=30, check=False)
    return load.parse(done.stdout + done.stderr)


def test_the_bundled_client_asks_for_each_page_and_counts_the_answers(
    server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    wanted = Load(server.server_port, "/page-", connections=3, seconds=1, method="POST", pages=3)
    sample = _bundled(wanted, monkeypatch)
    assert sample.rate > 0
    assert 0 < sample.p50 <= sample.p99 < 1
    assert Answers.asked == {"/page-1", "/page-2", "/page-3"}


def test_the_bundled_client_tells_of_requests_that_fail(
    server: ThreadingHTTPServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    with pytest.raises(LoadFailed, match="requests failed"):
        _bundled(Load(server.server_port, "/none", connections=1, seconds=1, method="POST"), monkeypatch)
