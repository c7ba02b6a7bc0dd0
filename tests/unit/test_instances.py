"""What is known of an instance from a list and from engines: how it is, what of it may be removed, how it is told."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path

import pytest

from stack.commands import ls, prune
from stack.engines.compose.fleet import size_of, summary
from stack.errors import StackError
from stack.observed import Found, Resources, StateWord
from stack.ports import Holder, Listener
from stack.progress import Silence
from stack.registry import Entry, Registry
from stack.report import Report
from stack.results.machine import PruneResult
from stack.settings import PLAYGROUND, Settings
from stack.state import State
from stack.style import Style
from stack.workflow import fleet
from stack.workflow.fleet import Gathered, Member, gather
from stack.workload import PortId

PROJECT = "stackctl-review-0a1b2c"
PARTS = Resources(containers=("web-1", "db-1"), networks=("backend",), volumes=("pgdata",), images=("web",))
WELL: Mapping[str, StateWord] = {"web": "healthy", "db": "healthy", "cache": "running"}


def entry(state: Path, engine: str = "compose", file: Path = Path("/nowhere/shop.py")) -> Entry:
    return Entry(PROJECT, "review", engine, state, file, {PortId("web"): 8001}, "2026-01-02T03:04:05+00:00")


def found(*states: Path, components: Mapping[str, StateWord] = WELL, left: Resources = PARTS) -> Found:
    since = datetime(2026, 1, 1, tzinfo=UTC)
    return Found("compose", PROJECT, "review", states, components, {PortId("web"): 8001}, left, since)


def member(made: Entry | None, parts: Found | None, asked: bool = True) -> Member:
    return Member("compose", PROJECT, "review", made, parts, asked)


@pytest.mark.parametrize(
    ("components", "condition"),
    [
        (WELL, "up"),
        ({**WELL, "db": "unhealthy"}, "degraded"),
        ({**WELL, "db": "restarting"}, "degraded"),
        ({**WELL, "db": "starting"}, "degraded"),
        ({**WELL, "db": "exited"}, "degraded"),
        (dict.fromkeys(WELL, "exited"), "stopped"),
        (dict.fromkeys(WELL, "restarting"), "restarting"),
        ({}, "absent"),
    ],
)
def test_an_instance_is_as_its_components_are(tmp_path: Path, components: dict[str, StateWord], condition: str) -> None:
    made = member(entry(tmp_path), found(tmp_path, components=components))
    assert made.condition == condition
    assert bool(made.urls) == (condition in ("up", "degraded"))


def test_an_instance_that_is_not_found_is_absent_or_unknown(
    tmp_path: Path,
) -> None:
    assert member(entry(tmp_path), None).condition == "absent"
    assert member(entry(tmp_path), None, asked=False).condition == "unknown"
    assert member(entry(tmp_path / "gone"), None, asked=False).condition == "orphaned"


def test_an_orphan_is_one_of_whose_folders_none_is_there(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    assert member(entry(gone), found(gone)).orphaned
    assert member(None, found(gone)).orphaned
    assert not member(entry(tmp_path), found(gone)).orphaned, "it was moved, and its volumes name the old folder"
    assert not member(None, found(gone, tmp_path)).orphaned
    assert not member(None, found()).orphaned, "nobody knows where its state is"


def gathered(*members: Member) -> Gathered:
    return Gathered(members, {})


def test_only_orphans_that_were_made_from_here_or_are_named_are_removed(tmp_path: Path) -> None:
    gone = tmp_path / "gone"
    ours, foreign = member(entry(gone), found(gone)), member(None, found(gone))
    silent = member(entry(gone), None, asked=False)
    living = [member(entry(tmp_path), found(gone)), member(None, found(tmp_path)), member(entry(tmp_path), None)]
    chosen = prune.choose(gathered(ours, foreign, silent, *living), (), None, data=False)
    assert (chosen.orphans, chosen.foreign) == ((ours,), (foreign,))
    chosen = prune.choose(gathered(ours, foreign, silent, *living), (), "review", data=False)
    assert (chosen.orphans, chosen.foreign) == ((ours, foreign), ())


def test_data_is_kept_and_said_to_be_until_it_is_asked_for(tmp_path: Path) -> None:
    orphan = member(entry(tmp_path / "gone"), found(tmp_path / "gone"))
    without, with_it = (prune.choose(gathered(orphan), (), None, data) for data in (False, True))
    assert without.keeps(orphan) == ("pgdata",)
    assert with_it.keeps(orphan) == ()
    told = prune.announcement(without, gathered(orphan))
    assert "containers: web-1, db-1" in told
    assert "Kept, because it is DATA of review: pgdata" in told
    assert "DATA: pgdata" in prune.announcement(with_it, gathered(orphan))


def test_data_that_is_left_is_removed_only_on_request(tmp_path: Path) -> None:
    orphan = member(entry(tmp_path / "gone"), found(tmp_path / "gone", left=Resources(volumes=("pgdata",))))
    assert not prune.choose(gathered(orphan), (), None, data=False)
    assert prune.choose(gathered(orphan), (), None, data=True)


def test_an_entry_of_which_nothing_is_left_is_removed(tmp_path: Path) -> None:
    stale = member(entry(tmp_path / "gone"), None)
    chosen = prune.choose(gathered(stale), (), None, data=False)
    assert chosen
    assert "entry: in the list of instances" in prune.announcement(chosen, gathered(stale))


@dataclass
class FakeFleet:
    """An engine of which what it finds is given, and that notes what it is told to remove."""

    name: str = "compose"
    parts: Sequence[Found] = ()
    silent: bool = False
    dangling: Mapping[str, str] = field(default_factory=dict)
    removed: list[object] = field(default_factory=list)

    def holder(self, port: int, listener: Listener | None) -> Holder | None:
        return None

    def find(self, entries: Sequence[Entry]) -> list[Found]:
        if self.silent:
            raise StackError("docker-daemon", "the Docker daemon does not answer", "start it")
        return list(self.parts)

    def sizes(self, found: Sequence[Found]) -> Mapping[str, int]:
        return {each.project: 48_000_000 for each in found}

    def remove(self, found: Found, data: bool) -> None:
        self.removed.append((found.project, data))

    def untagged(self) -> Mapping[str, str]:
        return self.dangling

    def remove_images(self, images: Sequence[str]) -> None:
        self.removed += images


Install = Callable[..., FakeFleet]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    def install(**values: object) -> FakeFleet:
        made = FakeFleet(**values)  # type: ignore[arg-type]
        for module in (fleet, prune):
            monkeypatch.setattr(module, "FLEETS", {"compose": made})
        return made

    return install


def settings(folder: Path, *entries: Entry, instance: str | None = None, engine: str | None = None) -> Settings:
    registry = Registry(folder / "registry")
    for each in entries:
        registry.enter(each)
    return Settings(folder / "none.py", instance, folder, engine, folder / "registry")


def test_list_and_engines_are_brought_together(tmp_path: Path, install: Install) -> None:
    install(parts=[found(tmp_path), replace(found(tmp_path), project="stackctl-other-000000", instance="other")])
    made = settings(tmp_path, entry(tmp_path))
    assert [(each.instance, each.entry is not None) for each in gather(made).members] == [
        ("other", False),
        ("review", True),
    ]
    assert [each.instance for each in gather(replace(made, instance="other")).members] == ["other"]
    assert gather(replace(made, engine="embedded")).members == ()


def test_ls_tells_each_instance_in_a_line(tmp_path: Path, install: Install) -> None:
    install(parts=[found(tmp_path)])
    report = ls.ls(settings(tmp_path, entry(tmp_path)))
    header, line = report.text.splitlines()
    assert header.split() == ["INSTANCE", "ENGINE", "STATE", "URL", "AGE", "DISK", "STACK", "FILE"]
    assert line.split()[:4] == ["review", "compose", "up", "http://localhost:8001"]
    assert "48 MB" in line
    assert line.endswith("/nowhere/shop.py (gone)")
    assert report.data.instances[0].bytes == 48_000_000
    assert "\x1b[32mup\x1b[0m" in ls.ls(settings(tmp_path, entry(tmp_path))).shown(Style(colour=True))


def test_ls_fits_a_narrow_terminal(tmp_path: Path, install: Install) -> None:
    install(parts=[found(tmp_path)])
    shown = ls.ls(settings(tmp_path, entry(tmp_path))).shown(Style(width=80))
    assert max(map(len, shown.splitlines())) <= 80, shown
    assert " localhost:8001 " in shown
    assert "shop.py (gone)" in shown


def test_ls_on_a_terminal_counts_many_addresses(tmp_path: Path, install: Install) -> None:
    ports = {PortId(f"app{number}"): 8001 + number for number in range(10)}
    install(parts=[replace(found(tmp_path), ports=ports)])
    report = ls.ls(settings(tmp_path, entry(tmp_path)))
    assert " localhost:8001 +9 " in report.shown(Style(width=80))
    assert " http://localhost:8010 " in report.text


def test_ls_shows_what_others_made_when_it_is_asked_to(tmp_path: Path, install: Install) -> None:
    other = replace(found(tmp_path), project="stackctl-other-000000", instance="other")
    install(parts=[found(tmp_path), other])
    made = settings(tmp_path, entry(tmp_path))
    assert [each.instance for each in ls.ls(made).data.instances] == ["review"]
    assert "1 more instance on this machine" in ls.ls(made).text
    assert [each.instance for each in ls.ls(made, every=True).data.instances] == ["other", "review"]
    assert [each.instance for each in ls.ls(replace(made, instance="other")).data.instances] == ["other"]


def test_playgrounds_are_told_apart_by_their_folder(tmp_path: Path, install: Install) -> None:
    install()
    state = tmp_path / "project" / ".stackctl" / "review"
    state.mkdir(parents=True)
    assert f"playground in {tmp_path / 'project'}" in ls.ls(settings(tmp_path, entry(state, file=PLAYGROUND))).text


def test_ls_of_nothing_and_of_an_engine_that_is_silent(tmp_path: Path, install: Install) -> None:
    install()
    assert "there is no instance" in ls.ls(settings(tmp_path)).text
    install(silent=True)
    report = ls.ls(settings(tmp_path, entry(tmp_path)))
    assert "unknown" in report.text
    assert "compose can't be asked: the Docker daemon does not answer" in report.text
    assert report.data.silent["compose"].code == "docker-daemon"


def test_a_silent_engine_without_instances_is_not_worth_a_line(tmp_path: Path, install: Install) -> None:
    install(silent=True)
    made = settings(tmp_path)
    assert "can't be asked" not in ls.ls(made).text
    assert "can't be asked" not in prune.prune(made, Silence(), lambda text: True).text
    asked = replace(made, engine="compose")
    assert all("can't be asked" in text for text in (ls.ls(made, every=True).text, ls.ls(asked).text))


def test_prune_removes_after_asking_and_forgets_what_has_no_data(tmp_path: Path, install: Install) -> None:
    engine = install(parts=[found(tmp_path / "gone")], dangling={"sha256:1": "review", "sha256:2": "other"})
    made = settings(tmp_path, entry(tmp_path / "gone"))
    asked: list[str] = []

    def answer(yes: bool) -> Callable[[str], bool]:
        def confirm(text: str) -> bool:
            asked.append(text)
            return yes

        return confirm

    with pytest.raises(StackError, match="nothing was removed"):
        prune.prune(made, Silence(), answer(False))
    prune.prune(made, Silence(), answer(True), dry_run=True)
    assert engine.removed == []
    assert len(asked) == 1
    report = prune.prune(made, Silence(), answer(True))
    assert engine.removed == [(PROJECT, False), "sha256:1", "sha256:2"]
    assert "data is kept (pgdata)" in report.text
    assert len(Registry(made.registry).entries()) == 1, "its data can still be found"
    prune.prune(replace(made, instance="review"), Silence(), answer(True), data=True)
    assert engine.removed[3:] == [(PROJECT, True), "sha256:1"]
    assert Registry(made.registry).entries() == []


def test_a_folder_that_comes_back_while_prune_asks_is_not_touched(tmp_path: Path, install: Install) -> None:
    engine = install(parts=[found(tmp_path / "gone")])

    def bring_back(text: str) -> bool:
        (tmp_path / "gone").mkdir()
        return True

    report = prune.prune(settings(tmp_path, entry(tmp_path / "gone")), Silence(), bring_back, data=True)
    assert engine.removed == []
    assert "kept, because it is there again: review" in report.text
    assert report.data.there_again == ("review",)


def test_an_instance_that_is_made_while_prune_begins_is_not_touched(tmp_path: Path, install: Install) -> None:
    gone = tmp_path / "project" / ".stackctl" / "gone"
    engine = install(parts=[found(gone)])
    waits, made = threading.Event(), settings(tmp_path, entry(gone))

    class Waiting(Silence):
        def step(self, text: str) -> None:
            if text.startswith("waiting for "):
                waits.set()

    pruned: list[Report[PruneResult]] = []
    other = threading.Thread(target=lambda: pruned.append(prune.prune(made, Waiting(), make, data=True)))
    locked = threading.Event()

    def make(text: str) -> bool:
        other_command.start()
        return locked.wait(20)

    def begin() -> None:
        state = State(gone)
        with state.locked():
            # As of a command that holds the lock, and has written nothing yet.
            locked.set()
            assert waits.wait(20)
            state.write("record.json", "{}")

    other_command = threading.Thread(target=begin)
    with pytest.MonkeyPatch.context() as patch:
        # The folder of a command that began a moment later than prune looked.
        patch.setattr(Member, "orphaned", True)
        other.start()
        other.join(30)
        other_command.join(30)
    assert engine.removed == []
    assert pruned[0].data.there_again == ("review",)


def test_prune_leaves_no_folder_where_the_instance_was(
    tmp_path: Path, install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    gone = tmp_path / "project" / "below" / ".stackctl" / "gone"
    engine = install(parts=[found(gone)])
    locked, remove = [], engine.remove

    def look(parts: Found, data: bool) -> None:
        locked.append((gone / "lock").exists())
        remove(parts, data)

    monkeypatch.setattr(engine, "remove", look)
    prune.prune(settings(tmp_path, entry(gone)), Silence(), lambda _: True, data=True)
    assert engine.removed == [(PROJECT, True)]
    assert locked == [True], "its lock was held"
    assert not (tmp_path / "project").exists()


def test_prune_removes_what_no_folder_can_be_made_for(tmp_path: Path, install: Install) -> None:
    (tmp_path / "project").write_text("a file now", encoding="utf-8")
    gone = tmp_path / "project" / ".stackctl" / "gone"
    engine = install(parts=[found(gone)])
    prune.prune(settings(tmp_path, entry(gone)), Silence(), lambda _: True, data=True)
    assert engine.removed == [(PROJECT, True)]


def test_data_that_prune_did_not_announce_is_not_removed(tmp_path: Path, install: Install) -> None:
    engine = install(parts=[found(tmp_path / "gone")])

    def make_more(text: str) -> bool:
        engine.parts = [found(tmp_path / "gone", left=replace(PARTS, volumes=("pgdata", "new")))]
        return True

    prune.prune(settings(tmp_path, entry(tmp_path / "gone")), Silence(), make_more, data=True)
    assert engine.removed == []


def test_prune_of_nothing_asks_nothing_and_says_what_it_could_not_see(tmp_path: Path, install: Install) -> None:
    engine = install(silent=True)

    def fail(text: str) -> bool:
        pytest.fail("asked")

    report = prune.prune(settings(tmp_path, entry(tmp_path / "gone")), Silence(), fail)
    assert "nothing to remove" in report.text
    assert "compose can't be asked" in report.text
    assert engine.removed == []


@pytest.mark.parametrize(
    ("state", "status", "word"),
    [
        ("running", "Up 3 minutes", "running"),
        ("running", "Up 3 minutes (healthy)", "healthy"),
        ("running", "Up 3 minutes (unhealthy)", "unhealthy"),
        ("running", "Up 1 second (health: starting)", "starting"),
        ("exited", "Exited (0) 2 minutes ago", "exited"),
    ],
)
def test_what_docker_says_of_a_container_in_one_word(state: str, status: str, word: str) -> None:
    assert summary(state, status) == word


def test_a_container_that_ended_as_it_had_to_is_done() -> None:
    assert summary("exited", "Exited (0) 2 minutes ago", once=True) == "done"
    assert summary("exited", "Exited (3) 2 minutes ago", once=True) == "exited"
    assert summary("running", "Up 3 minutes", once=True) == "running"


@pytest.mark.parametrize(
    ("text", "size"), [("0B", 0), ("48.25MB", 48_250_000), ("1.5GB", 1_500_000_000), ("12kB", 12_000), ("N/A", None)]
)
def test_what_docker_says_of_a_size_in_bytes(text: str, size: int | None) -> None:
    assert size_of(text) == size
