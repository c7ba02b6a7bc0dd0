"""The commands behind the scripts `start` and `stop`."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence

from tests.engine.docker_engine import description, ensure_engine, stop_daemon
from tests.engine.machine import Problem, say
from tests.engine.stand_ins import IMAGES, ensure_images
from tests.engine.swarm import REGISTRY, swarm


def start() -> None:
    ensure_engine()
    ensure_images()
    say(f"{description()}; images: {', '.join(image.name for image in IMAGES)}")


def stop() -> None:
    say("the daemon has stopped" if stop_daemon() else "no daemon that `start` started is running")


def run_on_a_swarm(command: Sequence[str]) -> int:
    """Run a command, or else a shell, whose docker client asks a Swarm of three hosts."""
    with swarm() as found:
        say(f"three hosts in a Swarm, the registry {REGISTRY}; they end with the command")
        words = [*command] or [os.environ.get("SHELL", "sh")]
        return subprocess.run(words, env={**os.environ, **found.environment}, check=False).returncode


def main(name: str, *words: str) -> int:
    try:
        if name == "swarm":
            return run_on_a_swarm(words)
        {"start": start, "stop": stop}[name]()
    except Problem as problem:
        sys.stderr.write(f"{name}: {problem}\n")
        return 1
    except PermissionError as error:
        sys.stderr.write(f"{name}: {error}. Only root may change the engine.\n")
        return 1
    except OSError as error:
        sys.stderr.write(f"{name}: {error}. Put this right, then try again.\n")
        return 1
    except KeyboardInterrupt:
        return 130
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
