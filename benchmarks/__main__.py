"""The command: python -m benchmarks [--quick] [--only ROW …] [--engine embedded|compose] [--out FOLDER]

It starts what it needs by itself, prints a table, and leaves nothing but the files that it names.
"""

from __future__ import annotations

import argparse
import os
import platform
import shutil
import subprocess
import sys
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from benchmarks import load, report
from benchmarks.chart import chart
from benchmarks.rows import NEED_DOCKER, ROWS
from benchmarks.session import session


def main(arguments: Sequence[str] | None = None) -> int:
    """The exit code says whether everything could be measured, and not whether every target is met."""
    options = _options(arguments)
    rounds, seconds = (1, 1) if options.quick else (5, 3)
    began, busy = datetime.now(UTC), psutil.cpu_percent(interval=1)
    results = []
    with session(options.engine, rounds, seconds) as opened:
        for name in options.only or _all():
            print(f"measuring {name} …", file=sys.stderr, flush=True)
            results.append(ROWS[name](opened))
            print(report.table(results[-1:]) + "\n", flush=True)
    about = {
        "at": began.isoformat(timespec="seconds"),
        "engine": options.engine,
        "rounds": rounds,
        "seconds": seconds,
        "client": load.client(),
        "processors": os.cpu_count(),
        "busy before": f"{busy:.0f} %",
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    print(", ".join(f"{name}: {value}" for name, value in about.items()))
    if busy > 10:
        print("The machine was not idle: trust the ratios, not the rates.")
    if options.out:
        options.out.mkdir(parents=True, exist_ok=True)
        (options.out / "bench.json").write_text(report.as_json(results, about), encoding="utf-8")
        (options.out / "bench.svg").write_text(chart(results, _caption(about)), encoding="utf-8")
        print(f"wrote {options.out / 'bench.json'} and {options.out / 'bench.svg'}")
    return 0


def _caption(about: Mapping[str, object]) -> str:
    said = "{engine} engine, {processors} processors, {client}, median of {rounds} rounds of {seconds} s; lines: spread"
    return f"{said.format_map(about)}; busy before: {about['busy before']}"


def _all() -> list[str]:
    """Every row that can be measured here. One that is asked for is not left out, but fails."""
    docker = subprocess.run(["docker", "info"], capture_output=True, check=False) if shutil.which("docker") else None
    if docker and docker.returncode == 0:
        return list(ROWS)
    print(f"left out, for want of Docker: {', '.join(sorted(NEED_DOCKER))}", file=sys.stderr)
    return [name for name in ROWS if name not in NEED_DOCKER]


def _options(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks", description="Measure, beside what it is compared with."
    )
    parser.add_argument("--quick", action="store_true", help="one short round: whether it works, not how fast it is")
    parser.add_argument(
        "--only", action="append", choices=ROWS, metavar="ROW", help=f"one of {', '.join(ROWS)}; repeatable"
    )
    parser.add_argument("--engine", choices=("embedded", "compose"), default="embedded")
    parser.add_argument("--out", type=Path, metavar="FOLDER", help="write bench.json and bench.svg there")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
