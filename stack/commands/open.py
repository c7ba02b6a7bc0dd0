"""`stackctl open`: the page of a component, in the browser."""

from __future__ import annotations

from collections.abc import Callable

from stack.errors import UsageError
from stack.instance import Instance
from stack.report import Report
from stack.results.access import OpenResult
from stack.settings import Settings
from stack.workflow.finding import find_component, require_running
from stack.workflow.opening import look
from stack.workflow.summary import located, page_urls
from stack.workload import PortId


def open_page(settings: Settings, name: str | None, browse: Callable[[str], bool] | None) -> Report[OpenResult]:
    """Open the page of the component, or its port `search.console`, that is named, else of the only app.

    Without `browse`, or if that finds no browser, the URL is all there is.
    """
    opened = look(settings)
    instance = opened.instance
    if not opened.engine.traits.ports_here:
        instance = located(instance, opened.engine.observe())
    port = _only(instance) if name is None else _named(instance, name)
    url = instance.urls[port]
    if browse is not None:
        if url not in page_urls(instance):
            raise UsageError(
                f"{port.typed} answers at {url}, which no browser shows",
                f"`stackctl open {port.typed} --print` prints it for its own client",
            )
        require_running(instance, opened.engine.observe(), port.component)
    shown = browse is not None and browse(url)
    return Report("open", url, OpenResult(port.component, url, shown), verbatim=True)


def _named(instance: Instance, name: str) -> PortId:
    component, _, port = name.partition(".")
    find_component(instance, component)
    ports = [id_ for id_ in instance.urls if id_.component == component]
    found = next((id_ for id_ in ports if not port or id_.name == port), None)
    if found is None:
        of_it = f"the ports {', '.join(id_.typed for id_ in ports)}" if ports else "no port"
        raise UsageError(
            f"{name} is not published: {component} publishes {of_it}", f"published are: {_listed(list(instance.urls))}"
        )
    return found


def _only(instance: Instance) -> PortId:
    """Return the page of the only app that has one, else the only page."""
    pages = [port for port, url in instance.urls.items() if url in page_urls(instance)]
    apps = [port for port in pages if instance.source(port.component) is not None]
    found = apps if len(apps) == 1 else pages
    if len(found) != 1:
        raise UsageError(f"which page? Published are: {_listed(pages)}", "write its name")
    return found[0]


def _listed(ports: list[PortId]) -> str:
    return ", ".join(port.typed for port in ports) or "none"
