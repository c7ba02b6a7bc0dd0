"""Options come before the environment, the environment before the defaults."""

from __future__ import annotations

from pathlib import Path

import platformdirs
import pytest

from stack.errors import UsageError
from stack.settings import PLAYGROUND, Settings


def test_without_anything_it_is_the_playground_in_the_project_around(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").touch()
    inside = tmp_path / "a" / "b"
    inside.mkdir(parents=True)
    settings = Settings.read({}, inside)
    assert settings == Settings(PLAYGROUND, None, tmp_path / ".stackctl")


def test_outside_a_project_the_state_is_the_users(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    assert Settings.read({}, Path("/")).state_root == platformdirs.user_state_path("stackctl")


def test_the_state_of_a_stack_file_is_beside_it(tmp_path: Path) -> None:
    settings = Settings.read({}, tmp_path, file=Path("deep/shop.py"))
    assert settings.file == tmp_path / "deep" / "shop.py"
    assert settings.state_root == tmp_path / "deep" / ".stackctl"


def test_the_stack_file_of_the_folder_comes_before_the_playground(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "stackfile.py").touch()
    found = Settings.read({}, tmp_path / "shop")
    assert (found.file, found.state_root) == (tmp_path / "shop" / "stackfile.py", tmp_path / "shop" / ".stackctl")
    assert Settings.read({}, tmp_path).file == PLAYGROUND
    assert Settings.read({"STACKCTL_FILE": "env.py"}, tmp_path / "shop").file == tmp_path / "shop" / "env.py"


def test_options_come_before_the_environment(tmp_path: Path) -> None:
    environment = {"STACKCTL_FILE": "env.py", "STACKCTL_INSTANCE": "env", "STACKCTL_STATE": "elsewhere"}
    settings = Settings.read(environment, tmp_path, file=Path("option.py"), instance="option")
    assert settings == Settings(tmp_path / "option.py", "option", tmp_path / "elsewhere")


def test_the_environment_comes_before_the_defaults(tmp_path: Path) -> None:
    environment = {"STACKCTL_FILE": "env.py", "STACKCTL_INSTANCE": "env"}
    settings = Settings.read(environment, tmp_path)
    assert settings == Settings(tmp_path / "env.py", "env", tmp_path / ".stackctl")


def test_an_empty_variable_is_as_good_as_none(tmp_path: Path) -> None:
    (tmp_path / ".git").mkdir()
    settings = Settings.read({"STACKCTL_FILE": "", "STACKCTL_INSTANCE": "", "STACKCTL_STATE": ""}, tmp_path)
    assert settings == Settings(PLAYGROUND, None, tmp_path / ".stackctl")


def test_auto_asks_for_no_engine(tmp_path: Path) -> None:
    assert Settings.read({"STACKCTL_ENGINE": "auto"}, tmp_path).engine is None
    assert Settings.read({"STACKCTL_ENGINE": "embedded"}, tmp_path).engine == "embedded"
    assert Settings.read({"STACKCTL_ENGINE": "embedded"}, tmp_path, engine="compose").engine == "compose"
    assert Settings.read({"STACKCTL_ENGINE": "embedded"}, tmp_path, engine="auto").engine is None


def test_a_link_to_itself_stays_what_it_is(tmp_path: Path) -> None:
    (tmp_path / "loop").symlink_to("loop")
    assert Settings.read({"STACKCTL_STATE": "loop"}, tmp_path, file=Path("loop")).file == tmp_path / "loop"


@pytest.mark.parametrize("value", ["soon", "0", "-1", "inf", "nan"])
def test_a_time_for_the_stack_file_is_a_number_of_seconds(value: str) -> None:
    assert Settings.read({"STACKCTL_FILE_TIMEOUT": "60"}, Path("/")).file_limit == 60
    with pytest.raises(UsageError, match="STACKCTL_FILE_TIMEOUT"):
        Settings.read({"STACKCTL_FILE_TIMEOUT": value}, Path("/"))


def test_a_path_that_no_configuration_can_name_is_told() -> None:
    with pytest.raises(UsageError, match=r"'/shop\\udcff/stack.py' holds a byte that is not UTF-8"):
        Settings.read({}, Path("/shop\udcff"), file=Path("stack.py"))
