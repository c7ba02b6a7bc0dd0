"""Judge what Docker reports about itself: pure, tested with answers as recorded."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from stack.engines.docker import failures
from stack.findings import Finding, disk, failed, ok
from stack.frozen import dataclass

ENGINE = (25, 0, 0)
COMPOSE = (2, 24, 0)
_MOST_SKEW = timedelta(seconds=5)
_OLD_IMAGE = timedelta(days=90)
_SHOWN = 5


@dataclass(frozen=True)
class Docker:
    """What `docker info` printed (`info`, and `said` on standard error) between the times `asked` and `answered`.

    `free`: the bytes left where Docker keeps its data; None if that is on another machine.
    """

    info: Mapping[str, Any]
    said: str
    asked: datetime
    answered: datetime
    free: int | None = None

    @property
    def client(self) -> Mapping[str, Any]:
        return self.info.get("ClientInfo") or {}


@dataclass(frozen=True)
class Labelled:
    """An object with our labels: its kind and name, and the state folder of its instance."""

    kind: str
    name: str
    state: str


def of_docker(docker: Docker) -> Iterator[Finding]:
    """Judge the client, Compose and the daemon; if the daemon answers, also its disk and its clock."""
    yield ok("docker client", f"{docker.client.get('Version')} (context {docker.client.get('Context')})")
    yield _compose(docker)
    daemon = _daemon(docker)
    yield daemon
    if daemon.level == "ok":
        yield _disk(docker)
        yield _clock(docker)


def _compose(docker: Docker) -> Finding:
    plugins = {plugin["Name"]: plugin for plugin in docker.client.get("Plugins") or []}
    plugin = plugins.get("compose")
    if plugin is None or plugin.get("Err"):
        return failed("docker compose", failures.classify("unknown command: docker compose", "compose-missing", "", ""))
    version = str(plugin["Version"])
    if failures.version_of(version) < COMPOSE:
        error = failures.too_old("compose-old", "Docker Compose", version, ".".join(map(str, COMPOSE)))
        return failed("docker compose", error)
    return ok("docker compose", version)


def _daemon(docker: Docker) -> Finding:
    version = str(docker.info.get("ServerVersion") or "")
    if not version:
        said = "\n".join(docker.info.get("ServerErrors") or []) or docker.said
        error = failures.classify(
            said, "docker-daemon", f"the Docker daemon does not answer: {said}", "look with `docker version`"
        )
        return failed("docker daemon", error)
    if failures.version_of(version) < ENGINE:
        return failed("docker daemon", failures.too_old("docker-old", "Docker Engine", version, str(ENGINE[0])))
    return ok("docker daemon", f"{version} on {docker.info.get('OperatingSystem')}, {docker.info.get('Architecture')}")


def _disk(docker: Docker) -> Finding:
    if docker.free is None:
        return ok("docker disk", "is another machine's, or a virtual one's: `docker system df` shows what is used")
    return disk("docker disk", docker.free, str(docker.info["DockerRootDir"]))


def _clock(docker: Docker) -> Finding:
    """Compare the clocks: the daemon's time must lie between question and answer. Health and age depend on both."""
    theirs = datetime.fromisoformat(str(docker.info["SystemTime"]))
    skew = max(docker.asked - theirs, theirs - docker.answered, timedelta())
    if skew > _MOST_SKEW:
        fix = "set both by NTP; of Docker Desktop, restart its virtual machine"
        message = f"the daemon's clock and that of this machine differ by {skew.total_seconds():.0f} s"
        return Finding("docker clock", "warn", message, fix)
    return ok("docker clock", "agrees with this machine's")


def of_images(images: Mapping[str, datetime | None], now: datetime) -> Iterator[Finding]:
    """Judge the images of the stack by when each was made; None if it does not exist here."""
    missing = [name for name, made in images.items() if made is None]
    if missing:
        message = f"not on this machine: {', '.join(missing)}"
        yield Finding("docker images", "warn", message, "`stackctl up` pulls and builds what is missing")
    for name, made in images.items():
        if made is not None and now - made > _OLD_IMAGE:
            message = f"{name} is {(now - made).days} days old, so it lacks later fixes"
            yield Finding("docker images", "warn", message, f"`docker pull {name}` and `stackctl up`, or rebuild it")
    if not missing and all(made is not None and now - made <= _OLD_IMAGE for made in images.values()):
        yield ok("docker images", f"{len(images)} on this machine, none older than {_OLD_IMAGE.days} days")


def of_orphans(orphans: Sequence[Labelled]) -> Finding:
    """Report the objects of instances whose state folder is gone."""
    if not orphans:
        return ok("docker orphans", "nothing without its instance")
    names = [f"{orphan.kind} {orphan.name}" for orphan in orphans]
    more = f" and {len(names) - _SHOWN} more" if len(names) > _SHOWN else ""
    message = f"left of instances whose state folder is gone: {', '.join(names[:_SHOWN])}{more}"
    folders = ", ".join(sorted({orphan.state for orphan in orphans})[:_SHOWN])
    fix = f"`stackctl prune` removes yours, and with --instance those of others; or bring the folder back: {folders}"
    return Finding("docker orphans", "warn", message, fix)
