"""A real browser on the page of a service with real servers. Without a browser all is skipped, for one reason."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, BrowserContext, Page, sync_playwright

from tests.counter.conftest import (  # noqa: F401 - the same servers
    environment,
    lone_service,
    postgres,
    postgres_of_module,
    redis,
    redis_of_module,
    service_folder,
)
from tests.servers import MISSING, ServiceServer, eventually

CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
# Nothing that asks anybody but the page's own server.
_QUIET = [
    "--no-sandbox", "--disable-gpu", "--disable-quic", "--no-first-run", "--disable-background-networking",
    "--disable-component-update", "--disable-sync",
]  # fmt: skip


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    reason = MISSING or (None if CHROMIUM else "no browser: install Chromium, on Debian `apt-get install chromium`")
    if reason and os.environ.get("STACKCTL_REQUIRE_BROWSER") == "1":
        pytest.fail(f"STACKCTL_REQUIRE_BROWSER=1, but {reason}")
    if reason:
        pytest.skip(reason)
    with sync_playwright() as playwright:
        made = playwright.chromium.launch(executable_path=CHROMIUM, args=_QUIET)
        yield made
        made.close()


class Watched:
    """A page, and all that it complained of and asked for."""

    def __init__(self, context: BrowserContext, service: ServiceServer) -> None:
        self.page: Page = context.new_page()
        self.service = service
        self.address = f"http://127.0.0.1:{service.port}/"
        self.complaints: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.complaints.append(f"{message.type}: {message.text}"))
        self.page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))

    def open(self) -> None:
        self.page.goto(self.address)

    def look_again(self) -> None:
        """With a clock that stands still: let a second pass, until the page has looked at everything once more."""
        with self.page.expect_request_finished(lambda request: request.url.endswith("/metrics")):
            self.page.clock.run_for(1000)

    def reads(self) -> int:
        """How often it asked for the count."""
        return sum(url.endswith("/visits/homepage") for url in self.asked)

    def await_reads(self, times: int) -> None:
        """Until it asked so often. Only while Playwright waits does it tell of requests."""

        def asked() -> bool:
            self.page.wait_for_timeout(100)
            return self.reads() >= times

        eventually(asked, f"the page asks for the count {times} times")


@pytest.fixture
def watched(browser: Browser, lone_service: ServiceServer) -> Iterator[Watched]:  # noqa: F811
    context = browser.new_context(viewport={"width": 1000, "height": 900})
    context.set_default_timeout(20_000)
    yield Watched(context, lone_service)
    context.close()
