"""The commands behind the scripts `start` and `stop`."""

from __future__ import annotations

import sys

from tests.engine.docker_engine import description, ensure_engine, stop_daemon
from tests.engine.machine import Problem, say
from tests.engine.stand_ins import IMAGES, ensure_images


def start() -> None:
    ensure_engine()
    ensure_images()
    say(f"{description()}; images: {', '.join(image.name for image in IMAGES)}")


def stop() -> None:
    say("the daemon has stopped" if stop_daemon() else "no daemon that `start` started is running")


def main(name: str) -> int:
    try:
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
    sys.exit(main(sys.argv[1]))
