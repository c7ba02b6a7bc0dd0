"""A volume that components share: wrong values, what each engine makes of it, and what the commands say of it."""

from __future__ import annotations

import tarfile
from collections.abc import Callable
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack import Container, DeclarationError, Redis, Schedule, Stack, Volume, WebApp, Worker
from stack.applied import Applied
from stack.capabilities import Programs
from stack.commands.doctor import CHECKS, Subject
from stack.commands.reset import reset
from stack.commands.restore import restore
from stack.commands.snapshot import save_snapshot
from stack.commands.undo import undo
from stack.commands.up import up
from stack.engines import ENGINES
from stack.engines.compose import volume_files
from stack.engines.compose import volumes as compose_volumes
from stack.engines.compose.render import render
from stack.engines.embedded import render as embedded
from stack.engines.embedded.layout import Layout, home_of
from stack.errors import StackError
from stack.instance import Instance
from stack.progress import Silence
from stack.settings import Settings
from stack.style import PLAIN
from stack.verdict.watch import Verdict
from stack.workflow import converge, keeping
from stack.workflow.opening import look
from stack.workflow.plan_text import plan_lines
from stack.workflow.planning import compute_plan
from stack.workload import VolumeId
from tests.unit.fake_engine import FakeEngine, World, tar_of

media = Volume("media")
web = WebApp("web", source="app", command=["serve"], volumes={"/app/media": media, "logs": "/app/logs"})


def box(name: str = "box", **options: Any) -> Container:
    return Container(name, image="nginx:1.29", process=["nginx"], **options)


def shop(*components: Any) -> Stack:
    return Stack("shop", components)


WRONG: dict[str, Callable[[], object]] = {
    "Volume: 'Media' is not a name (a-z, 0-9 and -, at most 31, a letter first)": lambda: Volume("Media"),
    "Volume: 7 is not a name (a-z, 0-9 and -, at most 31, a letter first)": lambda: Volume(7),  # type: ignore[arg-type]
    "media/backup: 'no' is neither True nor False": lambda: Volume("media", backup="no"),  # type: ignore[arg-type]
    "media/from_image: 1 is neither True nor False": lambda: Volume("media", from_image=1),  # type: ignore[arg-type]
    "media/writable: None is neither True nor False": lambda: Volume("media", writable=None),  # type: ignore[arg-type]
    "shop/box/volumes/media: is declared with another from_image than in 'web'": lambda: shop(
        web, box(volumes={"/m": Volume("media", from_image=True)})
    ),
    "media/backups: Volume has no such field; did you mean 'backup'?": lambda: Volume("media", backups=False),  # type: ignore[call-arg]
    "box/volumes/media: 'media' is not an absolute path in the container, like '/data'": lambda: box(
        volumes={"media": media}
    ),
    "box/volumes: 'media' is no Volume; write {'media': '/m'}, or {'/m': Volume('media')} to share it": lambda: box(
        volumes={"/m": "media"}
    ),
    "box/volumes/media: is there twice; a volume has one folder in a component": lambda: box(
        volumes={"/a": media, "/b": Volume("media")}
    ),
    "box/volumes/media: is there twice; a volume has one folder in a component ": lambda: box(
        volumes={"/a": media, "media": "/b"}
    ),
    "box/volumes/media: '/a/b' is in '/a', the folder of 'data'": lambda: box(volumes={"/a/b": media, "data": "/a"}),
    "box/volumes/data: '/a' is in '/a', the folder of 'media'": lambda: box(volumes={"data": "/a", "/a": media}),
    "box/tmpfs: '/a' is a volume too; it is kept in memory or on disk": lambda: box(
        volumes={"/a": media}, tmpfs=["/a"]
    ),
    "worker/volumes/media: is a volume of 'web' already; choose another name": lambda: Worker(
        "worker", of=web, command=["work"], volumes={"/elsewhere": media}
    ),
    "worker/volumes/cache: '/app/media/cache' is in '/app/media', the folder of 'media'": lambda: Worker(
        "worker", of=web, command=["work"], volumes={"cache": "/app/media/cache"}
    ),
    "worker/volumes/media: '/app/media' is in '/app', the folder of 'code'": lambda: Worker(
        "worker", of=web, command=["work"], volumes={"code": "/app"}
    ),
    "shop/box/volumes/media: belongs to 7:7 here and to 10001:10001 in 'web'; a volume has one owner, so give both the "
    "same `user`": lambda: shop(web, box(user="7:7", volumes={"/m": media})),
    "shop/box/volumes/media: belongs to the user of its image here and to 10001:10001 in 'web'; a volume has one "
    "owner, so give both the same `user`": lambda: shop(web, box(user="image", volumes={"/m": media})),
    "shop/box/volumes/media: is declared with backup=False, and with backup=True in 'web'": lambda: shop(
        web, box(volumes={"/m": Volume("media", backup=False)})
    ),
    "shop/box/volumes/media: 'media' is the name of a component; choose another for the volume": lambda: shop(
        box(volumes={"/m": media}), box("media")
    ),
    "shop/box/volumes/box: 'box' is the name of a component; choose another for the volume, or write "
    '{"data": "/its/place"} for one of its own': lambda: shop(box(volumes={"/m": Volume("box")})),
    "shop/box/volumes/web-logs: would be called 'web-logs', as a volume of 'web' is; choose another name": lambda: shop(
        web, box(volumes={"/m": Volume("web-logs")})
    ),
    "shop/a-b/volumes/c: would be called 'a-b-c', as a volume of 'a' is; choose another name": lambda: shop(
        box("a", volumes={"b-c": "/m"}), box("a-b", volumes={"c": "/m"})
    ),
    "shop/box/volumes/queue-data: would be called 'queue-data', as a volume of 'queue' is; choose another name": (
        lambda: shop(Redis("queue", durable=True), box(volumes={"/m": Volume("queue-data")}))
    ),
}


@pytest.mark.parametrize(("message", "make"), WRONG.items(), ids=WRONG)
def test_a_wrong_value_raises_with_its_path(message: str, make: Callable[[], object]) -> None:
    with pytest.raises(DeclarationError) as raised:
        make()
    assert raised.value.message == message.strip()
    assert raised.value.hint


STACK = shop(
    web,
    Worker("worker", of=web, command=["work"], environment={"WHERE": "a"}),
    box(volumes={"/srv": media, "/index": Volume("index", backup=False)}),
)


def instance(folder: Path = Path("/nowhere")) -> Instance:
    return Instance("shop", "p", STACK, folder, folder / "state", {})


def test_compose_mounts_one_volume_where_each_component_wants_it() -> None:
    made = replace(instance(), ports={port.id: 1 for port in web.workload("container").ports})
    project = yaml.safe_load(render(made))
    assert {*project["volumes"]} == {"media", "web-logs", "index"}
    services = project["services"].items()
    mounts = {name: [(each["source"], each["target"]) for each in one["volumes"]] for name, one in services}
    both = [("media", "/app/media"), ("web-logs", "/app/logs")]
    assert mounts == {"web": both, "worker": both, "box": [("media", "/srv"), ("index", "/index")]}
    variables = {name: one.get("environment", {}).get("VOLUME_MEDIA") for name, one in services}
    assert variables == {"web": "/app/media", "worker": "/app/media", "box": None}


def test_a_volume_from_the_image_is_seeded_by_docker_and_given_to_no_user(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    modules = Volume("modules", from_image=True)
    app = box(mounts={"app": "/app"}, volumes={"/app/node_modules": modules, "/media": media.read_only})
    reader = box("reader", user="image", volumes={"/modules": modules.read_only})
    with pytest.raises(DeclarationError, match="a volume has one owner"):
        shop(app, reader)
    made = replace(instance(tmp_path), stack=shop(app, box("reader", volumes={"/modules": modules.read_only})))
    services = yaml.safe_load(render(made))["services"]
    mount = {"type": "volume", "source": "media", "target": "/media", "read_only": True, "volume": {"nocopy": True}}
    assert services["box"]["volumes"][:2] == ["modules:/app/node_modules", mount]
    assert services["reader"]["volumes"] == ["modules:/modules:ro"]
    given: list[str] = []
    monkeypatch.setattr(volume_files, "give", lambda _, volume, user: given.append(volume))
    compose_volumes.give_to_users(made)
    assert given == ["media"]


def test_a_worker_reads_what_its_app_only_reads() -> None:
    app = WebApp("web", source="app", command=["serve"], volumes={"/media": media.read_only})
    (volume,) = Worker("worker", of=app, command=["work"]).workload("container").volumes
    assert volume.read_only


def test_a_volume_is_given_to_its_owner_once(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given: list[tuple[str, str]] = []
    monkeypatch.setattr(volume_files, "give", lambda _, volume, user: given.append((volume, user)))
    compose_volumes.give_to_users(instance(tmp_path))
    compose_volumes.give_to_users(instance(tmp_path))
    assert given == [("media", "10001:10001"), ("web:logs", "10001:10001"), ("index", "10001:10001")]


def test_where_a_schedule_notes_its_runs_its_user_may_write(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    given: list[tuple[str, str]] = []
    monkeypatch.setattr(volume_files, "give", lambda _, volume, user: given.append((volume, user)))
    of_numbers = Schedule("numbers", image="tools", command=["run"], cron="* * * * *")
    named, images = replace(of_numbers, name="named", user="node"), replace(of_numbers, name="images", user="image")
    stack = shop(of_numbers, named, images, box(user="node", volumes={"own": "/own"}))
    compose_volumes.give_to_users(replace(instance(tmp_path), stack=stack))
    assert given == [
        ("numbers:schedule", "10001:10001"),
        ("named:schedule", "any"),
        ("images:schedule", "any"),
    ]


def test_each_process_finds_one_folder() -> None:
    made = instance()
    layout = Layout(home_of(made), {port.id: 1 for port in web.workload("process").ports}, {"web": Programs()})
    variables = {name: embedded.environment(made, layout, name)["VOLUME_MEDIA"] for name in STACK.names}
    assert set(variables.values()) == {str(home_of(made).folder / "data" / "media")}
    fields = embedded.fields(made, layout)
    assert (fields["web"]["data.media"], fields["box"]["data.index"]) == ("media", "index")


class Shop:
    """An instance on an engine in memory, with the question that was asked last."""

    def __init__(self, folder: Path) -> None:
        self.world = World()
        self.asked = ""
        self.file = folder / "shop.py"
        self.settings = Settings(self.file, None, folder / "state", "embedded", folder / "registry")

    def declare(self, index: str = 'Volume("index", backup=False)') -> None:
        self.file.write_text(
            "from stack import *\n"
            'media = Volume("media")\n'
            f"index = {index}\n"
            'a = Container("a", image="i", process=["a"], volumes={"/m": media, "own": "/own"})\n'
            'b = Container("b", image="i", process=["b"], volumes={"/n": media, "/i": index})\n'
            'stack = Stack("shop", [a, b, Container("c", image="i", process=["c"])])\n'
        )

    def agree(self, question: str) -> bool:
        self.asked = question
        return True

    def restore(self) -> None:
        restore(self.settings, Silence(), self.agree, "one")

    def put(self, store: str, **files: bytes) -> None:
        self.world.files[store] = tar_of(files)

    def names(self, store: str) -> list[str]:
        with tarfile.open(fileobj=BytesIO(self.world.files[store])) as tar:
            return tar.getnames()


@pytest.fixture
def running(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Shop:
    found = Shop(tmp_path)
    found.declare()
    monkeypatch.setitem(ENGINES, "embedded", lambda instance, **_: FakeEngine(found.world, instance))
    ready = lambda _, engine, *__, **___: Verdict(0.0, engine.observe())  # noqa: E731
    for module in (converge, keeping):
        monkeypatch.setattr(module, "await_ready", ready)
    up(found.settings, Silence())
    found.put("media", picture=b"1")
    found.put("index", word=b"1")
    return found


def test_a_snapshot_stops_all_that_mount_what_it_saves(running: Shop) -> None:
    saved = save_snapshot(running.settings, Silence(), "one", None)
    assert running.world.stopped == {"a-own": ("a", "b"), "media": ("a", "b")}
    assert [*saved.data.components] == ["a", "media"]
    assert saved.data.unsaved == ("index",)
    assert saved.shown(PLAIN).splitlines()[1:] == ["index is not saved: backup=False"]
    assert all(each.running for each in running.world.components.values())


def test_a_restore_replaces_what_is_shared_and_leaves_what_is_unsaved(running: Shop) -> None:
    save_snapshot(running.settings, Silence(), "one", None)
    running.put("media", other=b"2")
    running.put("index", other=b"2")
    running.restore()
    assert "the data of a, media in" in running.asked
    assert running.asked.endswith("index stays as it is: backup=False.")
    assert (running.names("media.2"), running.names("index")) == (["picture"], ["other"])
    undo(running.settings, Silence(), running.agree)
    stores = look(running.settings).engine.volumes.declared()
    assert (running.names(stores[VolumeId("media")]), running.names("index")) == (["other"], ["other"])


def test_a_reset_says_what_nothing_brings_back(running: Shop) -> None:
    reset(running.settings, Silence(), running.agree)
    assert running.asked.splitlines()[-2:] == [
        "Its data is saved first: `stackctl undo` brings it back.",
        "index is not saved: backup=False; nothing brings it back.",
    ]
    undo(running.settings, Silence(), running.agree)
    assert (running.names("media"), running.names("index")) == (["picture"], [])


def test_a_snapshot_is_refused_for_a_volume_that_is_no_longer_saved(running: Shop) -> None:
    running.declare(index='Volume("index")')
    save_snapshot(running.settings, Silence(), "one", None)
    running.declare()
    with pytest.raises(StackError) as raised:
        running.restore()
    assert raised.value.code == "snapshot-differs"
    assert "index, which is declared with backup=False" in raised.value.message
    assert raised.value.hint == 'declare Volume("index") without backup=False'
    assert running.names("index") == ["word"]


def test_plan_and_doctor_say_what_is_not_saved(running: Shop) -> None:
    opened = look(running.settings)
    lines = plan_lines(compute_plan(opened, Applied()), PLAIN)
    assert "= data: index: is kept (not saved: backup=False)" in lines
    assert "= data: media: is kept" in lines
    subject = Subject(running.settings, opened, None)
    assert [each.message for each in CHECKS["volumes"](subject)] == ["index is not saved, as declared: backup=False"]
