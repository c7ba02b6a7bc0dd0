"""Build the command lines of `docker compose`, and the filters that select what a project has: pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Sequence
from datetime import UTC, datetime
from pathlib import Path

from stack.engines.compose.render import LABEL_PROJECT, LABEL_SERVICE
from stack.engines.docker.arguments import labelled
from stack.frozen import dataclass

# Of the containers of a project, those of its services, and those of `compose run`.
SERVICES = labelled("com.docker.compose.oneoff", "False")
ONE_OFF = labelled("com.docker.compose.oneoff", "True")


def version() -> list[str]:
    return ["compose", "version", "--short"]


def of_project(project: str) -> str:
    return labelled(LABEL_PROJECT, project)


def of_service(component: str) -> str:
    return labelled(LABEL_SERVICE, component)


@dataclass(frozen=True)
class Project:
    """A project by its name and its `compose.yaml`, which has to exist when a command runs."""

    name: str
    file: Path

    def build(self, services: Collection[str] = ()) -> list[str]:
        return self._command("build", *services)

    def pull(self, services: Collection[str]) -> list[str]:
        return self._command("pull", "--quiet", *services)

    def up(self, only: Collection[str] = (), orphans: bool = True) -> list[str]:
        """Create and start what is declared, from images that are built already.

        With `only` just those services, and not what they depend on; with `orphans` remove those no longer declared.
        """
        return self._command(
            "up", "--detach", "--no-build", *(["--remove-orphans"] if orphans else []), "--quiet-pull", *_alone(only)
        )

    def up_again(self, only: Collection[str] = ()) -> list[str]:
        """Create and start the last known good revision, whose images were pulled and built before."""
        return self._command("up", "--detach", "--no-build", "--remove-orphans", *_alone(only))

    def remove_orphans(self) -> list[str]:
        """Remove the containers of services that are no longer declared; start nothing."""
        return self._command("create", "--no-build", "--no-recreate", "--remove-orphans")

    def start(self, only: Collection[str] = ()) -> list[str]:
        """Start the containers that exist. `compose start` would start what the services depend on too."""
        if not only:
            return self._command("start")
        return self._command("up", "--detach", "--no-build", "--no-recreate", *_alone(only))

    def stop(self, services: Collection[str] = ()) -> list[str]:
        """Stop the containers of services, of all of them if none is named."""
        return self._command("stop", *services)

    def down(self, data: bool = False) -> list[str]:
        """Stop and remove all containers and networks; with `data` volumes and built images too."""
        # A clean shutdown is of no use to data that is deleted.
        deleted = ["--volumes", "--rmi", "local", "--timeout", "0"] if data else []
        return self._command("down", "--remove-orphans", *deleted)

    def remove(self, services: Collection[str]) -> list[str]:
        """Stop and remove the containers of services."""
        return self._command("rm", "--stop", "--force", *services)

    def logs(
        self,
        services: Sequence[str],
        tail: int | None,
        since: datetime | None = None,
        follow: bool = False,
        named: bool = True,
    ) -> list[str]:
        """Print the last `tail` lines (None: all) of each of these services, or of all if none is named.

        If `named` the name of its container and the time stand in front of each line.
        """
        front = ["--timestamps"] if named else ["--no-log-prefix"]
        recent = [] if since is None else ["--since", since.astimezone(UTC).isoformat().replace("+00:00", "Z")]
        lines = "all" if tail is None else str(tail)
        following = ["--follow"] if follow else []
        return self._command("logs", "--no-color", "--tail", lines, *front, *services, *recent, *following)

    def run_script(self, service: str, container: str, script: str, arguments: Sequence[str]) -> list[str]:
        """Run a shell script instead of a service, in a container of that name that is removed when it ends."""
        return self._command(
            "run", "--rm", "--no-TTY", "--no-deps", "--quiet-pull", "--name", container, "--entrypoint", "sh",
            service, "-c", script, "sh", *arguments,
        )  # fmt: skip

    def run(self, service: str, container: str, label: str, command: Sequence[str], terminal: bool) -> list[str]:
        """Run a command instead of a service, in a container of that name that is removed when it ends.

        It has the image, variables, secrets, networks and volumes of the service, but neither its ports nor its name.
        """
        return [
            "compose", "--progress", "quiet", *self._named, "run", "--rm", *([] if terminal else ["--no-TTY"]),
            "--no-deps", "--quiet-pull", "--name", container, "--label", label, service, *command,
        ]  # fmt: skip

    def services(self) -> frozenset[str]:
        """Read the names of the services from the file, as it was rendered."""
        _, _, services = self.file.read_text(encoding="utf-8").partition("\nservices:\n")
        return frozenset(re.findall(r"^  ([a-z0-9-]+):$", services.partition("\nnetworks:\n")[0], re.MULTILINE))

    def _command(self, *words: str) -> list[str]:
        return ["compose", *self._named, *words]

    @property
    def _named(self) -> list[str]:
        return ["--file", str(self.file), "--project-name", self.name]


def _alone(services: Collection[str]) -> list[str]:
    """Return the words for some services without what they depend on; of themselves each waits for the others."""
    return ["--no-deps", *services] if services else []
