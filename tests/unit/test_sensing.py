"""What the kernel is asked to watch, and what it refuses."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from stack.ignored import Ignored
from stack.workflow.sensing import Sensor
from stack.workflow.watched import Place, Watched
from tests.cli import ROOT

FOLDERS = 40
LOOK = """
import sys
from pathlib import Path
from stack.errors import StackError
from stack.workflow.sensing import Sensor
from tests.unit.test_sensing import places
try:
    Sensor().aim(places(Path(sys.argv[1])))
except StackError as error:
    print(error.code, error.message, error.hint, sep=chr(10))
else:
    print("watched")
"""


def places(root: Path) -> Watched:
    """A stack whose one component has its source in a folder."""
    return Watched(root, (Place("web", root / "app", "source", Ignored.read("")),))


def in_user_namespace(words: list[str], *options: str) -> str:
    """What a command writes in a user namespace of its own."""
    front = ["unshare", "--user", *options]
    if subprocess.run([*front, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine gives no user namespaces")
    return subprocess.run([*front, *words], capture_output=True, text=True, check=True, cwd=ROOT).stdout


@pytest.fixture
def source(tmp_path: Path) -> Path:
    for number in range(FOLDERS):
        (tmp_path / "app" / str(number)).mkdir(parents=True)
    return tmp_path


@pytest.mark.parametrize(
    ("limit", "value", "setting"),
    [("max_inotify_watches", 20, "max_user_watches"), ("max_inotify_instances", 0, "max_user_instances")],
)
def test_a_limit_of_the_kernel_is_told(source: Path, limit: str, value: int, setting: str) -> None:
    # A user namespace has limits of its own, so that nobody else meets them.
    script = f'echo {value} > /proc/sys/user/{limit} && exec "$@"'
    said = in_user_namespace(["sh", "-c", script, "sh", sys.executable, "-c", LOOK, str(source)], "--map-root-user")
    code, message, hint = said.splitlines()
    assert code == "watch-limit"
    assert message
    assert f"fs.inotify.{setting}=" in hint


def test_a_folder_that_may_not_be_read_is_left_out(source: Path) -> None:
    closed = source / "app" / "3"
    closed.chmod(0)
    try:
        # There even root has no more rights than the owner of a folder.
        said = in_user_namespace([sys.executable, "-c", LOOK, str(source)])
    finally:
        closed.chmod(0o700)
    assert said == "watched\n"


def test_a_thousand_changes_at_once_are_one(source: Path) -> None:
    sensor = Sensor()
    try:
        sensor.aim(places(source))
        written = {source / "app" / str(number % FOLDERS) / f"{number}.py" for number in range(1000)}
        for path in written:
            path.touch()
        assert sensor.wait(lambda: False) == written
    finally:
        sensor.close()


def test_a_file_that_is_saved_by_renaming_is_changed(source: Path) -> None:
    sensor = Sensor()
    try:
        sensor.aim(places(source))
        (source / "app" / "1" / ".app.py.new").write_text("new")
        (source / "app" / "1" / ".app.py.new").rename(source / "app" / "1" / "app.py")
        assert source / "app" / "1" / "app.py" in sensor.wait(lambda: False)
    finally:
        sensor.close()
