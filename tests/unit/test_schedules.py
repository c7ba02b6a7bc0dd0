"""Schedules: which cron lines there are, when the script runs its command, and what is told of the runs."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack import Container, DeclarationError, Job, Postgres, Schedule, Stack, WebApp, Worker
from stack.components.schedule.cron import parse
from stack.components.schedule.timetable import ScheduleTimes
from stack.engines.compose import render
from stack.engines.docker.networks import plan_networks
from stack.instance import Instance, default_ports
from stack.results.instances import Runs
from stack.snapshots.volumes import VolumeFiles
from stack.workflow.access import data_store
from stack.workflow.schedules import run_line

db = Postgres("db")
web = WebApp("web", source="app", command=["serve"], uses=[db], environment={"LOG": "info"}, volumes={"media": "/m"})
FIELDS = "it has the five fields minute, hour, day of month, month and day of week, like '30 3 * * 1-5'"
# 2026-01-02 03:04 UTC
NOW = datetime(2026, 1, 2, 3, 4, tzinfo=UTC)
SHELLS = [[found] for name in ("dash", "bash", "sh") if (found := shutil.which(name))] + [
    [found, "sh"] for name in ("busybox",) if (found := shutil.which(name))
]


def nightly(**options: Any) -> Schedule:
    values: dict[str, Any] = {"of": web, "command": ["backup"], "cron": "0 3 * * *"}
    return Schedule("nightly", **(values | options))


def wrong_cron(cron: object) -> Callable[[], object]:
    return lambda: nightly(cron=cron)


WRONG: dict[str, Callable[[], object]] = {
    "nightly/cron: '* * * *' has 4 fields; " + FIELDS: wrong_cron("* * * *"),
    "nightly/cron: '0 * * * * *' has 6 fields; " + FIELDS: wrong_cron("0 * * * * *"),
    "nightly/cron: '@daily' has 1 field; " + FIELDS: wrong_cron("@daily"),
    "nightly/cron: '61 * * * *' is no cron line: its minute is wrong; " + FIELDS: wrong_cron("61 * * * *"),
    "nightly/cron: '0 24 * * *' is no cron line: its hour is wrong; " + FIELDS: wrong_cron("0 24 * * *"),
    "nightly/cron: '0 0 31 2 *' is no cron line: its day of month is wrong; " + FIELDS: wrong_cron("0 0 31 2 *"),
    "nightly/cron: '0 0 * jan-x *' is no cron line: its month is wrong; " + FIELDS: wrong_cron("0 0 * jan-x *"),
    "nightly/cron: '0 0 * * 8' is no cron line: its day of week is wrong; " + FIELDS: wrong_cron("0 0 * * 8"),
    "nightly/cron: '0 0 L * *' has an L, a W or a #, which not every cron knows; " + FIELDS: wrong_cron("0 0 L * *"),
    "nightly/cron: '0 0 * * 1#2' has an L, a W or a #, which not every cron knows; " + FIELDS: wrong_cron(
        "0 0 * * 1#2"
    ),
    "nightly/cron: 5 is not plain text": wrong_cron(5),
    "nightly/cron: '' has 0 fields; " + FIELDS: lambda: Schedule("nightly", of=web, command=["backup"]),
    "nightly/command: is missing, and 'web' runs the image's own already": lambda: nightly(command=None),
    "nightly/command: is missing: say what runs at these times, as words": lambda: nightly(
        of=None, image="tools", command=None
    ),
    "nightly/of: 'web' is neither a WebApp nor a Container": lambda: nightly(of="web"),
    "nightly/volumes/schedule: is where it notes its runs; choose another name": lambda: nightly(
        volumes={"schedule": "/s"}
    ),
    "nightly/replicas: Schedule has no such field": lambda: nightly(replicas=2),
}


@pytest.mark.parametrize(("message", "make"), WRONG.items(), ids=WRONG)
def test_a_wrong_value_raises_with_its_path(message: str, make: Callable[[], object]) -> None:
    with pytest.raises(DeclarationError) as raised:
        make()
    assert raised.value.message == message


def test_a_schedule_has_what_its_app_has_and_runs_once() -> None:
    stack = Stack("shop", [web, db, nightly(environment={"LOG": "debug"})])
    own, app = stack.workload("nightly", "container"), stack.workload("web", "container")
    assert (own.source, own.image_of, own.ports, own.once) == ("app", "web", (), None)
    assert (own.environment["LOG"], own.environment["DB_HOST"]) == ("debug", app.environment["DB_HOST"])
    assert (own.volumes[0], own.singleton, own.restart) == (app.volumes[0], True, "always")


def test_a_schedule_waits_for_what_comes_before_its_app() -> None:
    stack = Stack("shop", [web, db, nightly(), Job("migrate", of=web, command=["migrate"], before=[web])])
    assert stack.order.awaits("nightly") == ("db", "migrate")


def instance(stack: Stack) -> Instance:
    return Instance("shop", "shop-1", stack, Path("/shop"), Path("/shop/.stackctl"), dict(default_ports(stack)))


def service(schedule: Schedule) -> Mapping[str, Any]:
    text = render.render(instance(Stack("shop", [web, db, schedule])))
    found: Mapping[str, Any] = yaml.safe_load(text)["services"]["nightly"]
    return found


PLACE = "/usr/local/lib/stackctl/schedule.sh"


def test_the_command_follows_the_script() -> None:
    found = service(nightly(cron=" 0  3 * * * "))
    assert (found["command"], "entrypoint" in found) == (["sh", PLACE, "0 3 * * *", "backup"], False)
    found = service(nightly(entrypoint=["env", "A=b"]))
    assert (found["entrypoint"], found["command"]) == (["sh", PLACE, "0 3 * * *", "env", "A=b"], ["backup"])
    assert found["configs"] == [{"source": "nightly.schedule.sh", "target": PLACE}]
    process = Stack("shop", [web, db, nightly()]).workload("nightly", "process")
    assert [str(word) for word in (process.command or ())[2:]] == ["0 3 * * *", "backup"]


def test_a_schedule_is_on_the_networks_of_its_app() -> None:
    found = plan_networks(Stack("shop", [web, db, nightly()]))
    assert {name: each.members for name, each in found.items()} == {
        "web": ("web", "nightly"),
        "web.db": ("web", "db", "nightly"),
    }


def test_its_notes_are_in_no_snapshot_but_its_own_volumes_are() -> None:
    stack = Stack("shop", [web, db, nightly()])
    assert data_store(stack, "nightly") is None
    found = data_store(Stack("shop", [web, db, nightly(volumes={"dumps": "/d"})]), "nightly")
    assert isinstance(found, VolumeFiles)
    assert found.names == ("dumps",)


def script_of(cron: str) -> str:
    [file] = nightly(cron=cron).workload("container").files
    return file.text


OF_CRON = ["*/7 3,15 1-10 */2 1-5", "5 4 29 2,3 MON", "0 0 1 1 *", "30 23 31 * *", "0 12 * * 7", "1-9/4 0 */9 * sun"]


@pytest.mark.parametrize(
    ("shell", "cron"),
    [
        # Each line in one of the shells, and in the others in the long run of the tests.
        pytest.param(
            *(shell, line),
            marks=[] if number % len(SHELLS) == position else [pytest.mark.long],
            id=f"{shell[0].rpartition('/')[2]}-{line}",
        )
        for number, line in enumerate(OF_CRON)
        for position, shell in enumerate(SHELLS)
    ],
)
def test_the_script_finds_the_times_that_the_library_finds(shell: list[str], cron: str, tmp_path: Path) -> None:
    start = datetime(2023, 12, 30, tzinfo=UTC)
    first, last = (int(each.timestamp()) // 60 for each in (start, start + timedelta(days=430)))
    show = f"checked={first}; while advance {last}; do written $checked; echo; done\n"
    (tmp_path / "script").write_text(script_of(cron).replace('main "$@"\nexit\n', show))
    found = subprocess.run([*shell, str(tmp_path / "script")], capture_output=True, text=True, check=True)
    wanted, moment, times = [], start, parse(cron)
    while (after := times.next(moment)) is not None and int(after.timestamp()) // 60 <= last:
        moment = after
        wanted.append(f"{after:%Y-%m-%d %H:%M} UTC")
    assert found.stdout.splitlines() == wanted
    assert wanted


# The script asks `date` for the time and waits with `sleep`: here both are a file, which `work N` moves by N seconds.
COMMANDS = {
    "date": '#!/bin/sh\ncat "$CLOCK"\n',
    "work": '#!/bin/sh\necho "worked at $(cat "$CLOCK")"\necho $(($(cat "$CLOCK") + $1)) > "$CLOCK"\nexit "${2:-0}"\n',
    "sleep": """#!/bin/sh
echo $(($(cat "$CLOCK") + $1)) > "$CLOCK.new" && mv "$CLOCK.new" "$CLOCK"
[ "$(cat "$CLOCK")" -lt "$END" ] || kill -TERM "$PPID"
""",
}


class Trial:
    """A script that runs until a time, faster than time passes."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock, self.record = folder / "clock", folder / "notes" / "record"
        self.record.parent.mkdir()
        (folder / "bin").mkdir()
        for name, text in COMMANDS.items():
            (folder / "bin" / name).write_text(text)
            (folder / "bin" / name).chmod(0o755)

    def run(self, cron: str, start: str, end: str, *command: str) -> list[str]:
        begins, ends = (int(datetime.fromisoformat(f"2026-01-{each}+00:00").timestamp()) for each in (start, end))
        self.clock.write_text(f"{begins}\n")
        (self.folder / "script").write_text(script_of(cron))
        variables = {
            "PATH": f"{self.folder / 'bin'}:{os.defpath}", "CLOCK": str(self.clock), "END": str(ends),
            "STACKCTL_SCHEDULE": str(self.record.parent),
        }  # fmt: skip
        done = subprocess.run(
            ["sh", str(self.folder / "script"), cron, *(command or ("work", "5"))],
            env=variables, capture_output=True, text=True, timeout=60, check=True,
        )  # fmt: skip
        lines = [line.removeprefix("stackctl: ").replace("2026-01-", "") for line in done.stdout.splitlines()]
        return [*done.stderr.splitlines(), *(each for each in lines if not each.startswith(("worked", "runs at")))]

    def runs(self) -> Runs:
        return ScheduleTimes(parse("0 3 * * *")).read(self.record.read_text(), NOW)


@pytest.fixture
def trial(tmp_path: Path) -> Trial:
    return Trial(tmp_path)


def test_the_command_runs_at_each_time_of_the_line(trial: Trial) -> None:
    assert trial.run("*/10 3 * * *", "02 02:58:30", "02 03:21:00") == [
        "the run of 02 03:00 UTC begins",
        "the run of 02 03:00 UTC ended with 0 after 5 s",
        "the run of 02 03:10 UTC begins",
        "the run of 02 03:10 UTC ended with 0 after 5 s",
        "the run of 02 03:20 UTC begins",
        "the run of 02 03:20 UTC ended with 0 after 5 s",
    ]
    assert trial.runs() == Runs(NOW.replace(minute=20), 5, 0, False, datetime(2026, 1, 3, 3, tzinfo=UTC), 0, None)


def test_a_minute_in_which_it_is_first_started_is_not_run(trial: Trial) -> None:
    assert trial.run("0 3 * * *", "02 03:00:10", "02 03:05:00") == []


def test_what_is_due_while_a_run_goes_on_is_refused_and_counted(trial: Trial) -> None:
    assert trial.run("* * * * *", "02 02:59:50", "02 03:05:00", "work", "200") == [
        "the run of 02 03:00 UTC begins",
        "the run of 02 03:00 UTC ended with 0 after 200 s",
        "missed 3 runs, the last that of 02 03:03 UTC: that of 02 03:00 UTC was still running",
        "the run of 02 03:04 UTC begins",
        "the run of 02 03:04 UTC ended with 0 after 200 s",
        "missed 3 runs, the last that of 02 03:07 UTC: that of 02 03:04 UTC was still running",
    ]
    assert (trial.runs().missed, trial.runs().last_missed) == (6, NOW.replace(minute=7))


def test_what_was_due_while_it_did_not_run_is_told_and_not_run(trial: Trial) -> None:
    trial.run("0 * * * *", "02 02:59:50", "02 03:01:00")
    assert trial.run("0 * * * *", "03 03:30:00", "03 03:32:00") == [
        "missed 24 runs, the last that of 03 03:00 UTC: it was not there to run it"
    ]
    assert trial.runs().missed == 24


def test_a_short_absence_only_delays_a_run(trial: Trial) -> None:
    trial.run("0 * * * *", "02 02:58:10", "02 02:59:00")
    assert trial.run("0 * * * *", "02 03:01:30", "02 03:02:00") == [
        "the run of 02 03:00 UTC begins",
        "the run of 02 03:00 UTC ended with 0 after 5 s",
    ]
    assert trial.run("0 * * * *", "02 03:02:10", "02 03:03:00") == [], "no minute is run twice"


def test_a_run_that_fails_is_told_and_the_next_comes_at_its_time(trial: Trial) -> None:
    assert trial.run("*/2 * * * *", "02 02:59:50", "02 03:03:00", "work", "1", "3") == [
        "the run of 02 03:00 UTC begins",
        "the run of 02 03:00 UTC ended with 3 after 1 s",
        "the run of 02 03:02 UTC begins",
        "the run of 02 03:02 UTC ended with 3 after 1 s",
    ]
    assert trial.run("0 4 * * *", "02 03:59:50", "02 04:01:00", "no-such-command")[-1].endswith(
        "ended with 127 after 0 s"
    )


def test_a_run_that_was_cut_off_is_told_by_the_next_start(trial: Trial) -> None:
    trial.record.write_text(f"{int(NOW.timestamp()) // 60} {int(NOW.timestamp())} - - 1 -\n")
    assert trial.runs().running
    assert trial.run("0 5 * * *", "02 03:06:00", "02 03:07:00") == ["the run of 02 03:04 UTC was cut off"]
    cut = trial.runs()
    assert (cut.last_run, cut.seconds, cut.exit_code, cut.running, cut.missed) == (NOW, None, None, False, 1)


def test_a_stop_ends_the_command_that_runs_and_notes_how_it_ended(trial: Trial) -> None:
    (trial.folder / "bin" / "patient").write_text(
        "#!/bin/sh\ntrap 'exit 7' TERM\nkill -TERM \"$PPID\"\nwhile :; do /bin/sleep 0.01; done\n"
    )
    (trial.folder / "bin" / "patient").chmod(0o755)
    assert trial.run("0 3 * * *", "02 02:59:59", "03 00:00:00", "patient") == [
        "the run of 02 03:00 UTC begins",
        "the run of 02 03:00 UTC ended with 7 after 0 s",
    ]
    assert trial.runs().exit_code == 7


def test_without_its_volume_it_notes_its_runs_elsewhere() -> None:
    assert '[ -w "$STACKCTL_SCHEDULE" ] || record=/tmp/stackctl-schedule\n' in script_of("0 3 * * *")
    assert ScheduleTimes(parse("0 3 * * *")).record[-1].endswith("|| cat /tmp/stackctl-schedule")


NEXT = datetime(2026, 1, 3, 3, tzinfo=UTC)
LINES = {
    "has not run yet, next in 23h 56m": Runs(None, None, None, False, NEXT, 0, None),
    "last run 4m 0s ago (12 s), next in 23h 56m": Runs(NOW.replace(minute=0), 12, 0, False, NEXT, 0, None),
    "last run 4m 0s ago failed (exit code 3), next in 23h 56m": Runs(NOW.replace(minute=0), 1, 3, False, NEXT, 0, None),
    "last run 4m 0s ago was cut off, next in 23h 56m": Runs(NOW.replace(minute=0), None, None, False, NEXT, 0, None),
    "running for 4m 0s, next in 23h 56m; missed 2 runs, the last 1m 0s ago": Runs(
        NOW.replace(minute=0), None, None, True, NEXT, 2, NOW.replace(minute=3)
    ),
}


@pytest.mark.parametrize(("said", "runs"), LINES.items(), ids=LINES)
def test_what_status_says_of_the_runs(said: str, runs: Runs) -> None:
    assert run_line("nightly", runs, NOW) == f"nightly: {said}"


def test_a_schedule_that_was_started_just_now_has_noted_nothing() -> None:
    found = ScheduleTimes(parse("0 3 * * *")).read("", NOW)
    assert found == Runs(None, None, None, False, NEXT, 0, None)


def test_a_schedule_beside_a_container_or_with_an_image_of_its_own() -> None:
    api = Container("api", image="node:24", user="node", ports={"http": 80})
    stack = Stack("shop", [api, nightly(of=api), Worker("worker", of=api, command=["work"])])
    assert stack.workload("nightly", "container").image == "node:24"
    assert Stack("shop", [nightly(of=None, image="tools")]).workload("nightly", "container").image == "tools"
