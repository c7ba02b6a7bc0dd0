"""A stack file that can't be used gives one clear error, with the line."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack.declaration import load_stack
from stack.errors import ExitCode, StackError
from stack.settings import PLAYGROUND

GOOD = 'from stack import Redis, Stack\nstack = Stack("shop", [Redis("cache")])\n'


def load(folder: Path, text: str) -> StackError:
    file = folder / "shop.py"
    file.write_text(text, encoding="utf-8")
    with pytest.raises(StackError) as raised:
        load_stack(file)
    assert raised.value.exit_code == ExitCode.USAGE
    assert raised.value.message.startswith(str(file))
    raised.value.message = raised.value.message.removeprefix(str(file))
    return raised.value


@pytest.mark.parametrize(
    ("text", "code", "message"),
    [
        ("", "file-invalid", ": defines no `stack`"),
        ("x = 1\nstack = 7\n", "file-invalid", ":2: `stack` is of type int, not Stack"),
        ("def stack():\n    pass\n", "file-invalid", ":1: `stack` is of type function, not Stack"),
        ("x = 1\nstack = Stack(\n", "file-invalid", ":2: '(' was never closed"),
        ("x = 1\ny = z\n", "file-invalid", ":2: NameError: name 'z' is not defined"),
        (
            "import nothing_of_this_name\n",
            "file-invalid",
            ":1: ModuleNotFoundError: No module named 'nothing_of_this_name'",
        ),
        ("def f():\n    raise ValueError('no')\nf()\n", "file-invalid", ":2: ValueError: no"),
        ("raise SystemExit(3)\n", "file-invalid", ":1: SystemExit: 3"),
        (
            "from stack import WebApp\n\nweb = WebApp('web', source='.', port=80000)\n",
            "declaration-invalid",
            ":3: web/port: 80000 is not a port (1-65535)",
        ),
        (
            "from stack import Redis, Stack\nstack = Stack('shop', [\n    Redis('a'), Redis('a'),\n])\n",
            "declaration-invalid",
            ":2: shop/a: stands twice; a name belongs to one component",
        ),
        (
            "from stack import Redis\n\nRedis('cache', memroy=7)\n",
            "file-invalid",
            ":3: TypeError: Redis.__init__() got an unexpected keyword argument 'memroy'",
        ),
    ],
)
def test_a_wrong_file_is_told_by_file_and_line(tmp_path: Path, text: str, code: str, message: str) -> None:
    error = load(tmp_path, text)
    assert (error.code, error.message) == (code, message)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(StackError) as raised:
        load_stack(tmp_path / "none.py")
    assert raised.value.code == "file-missing"
    assert str(tmp_path / "none.py") in raised.value.message


def test_a_folder_is_no_stack_file(tmp_path: Path) -> None:
    with pytest.raises(StackError, match="is a folder"):
        load_stack(tmp_path)


def test_a_binary_file_is_no_stack_file(tmp_path: Path) -> None:
    (tmp_path / "shop.py").write_bytes(b"\xff\xfe\x00")
    with pytest.raises(StackError, match="not UTF-8"):
        load_stack(tmp_path / "shop.py")


def test_a_stack_file_may_import_its_neighbours_and_print(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "neighbour_of_shop.py").write_text("SIZE = 64\n", encoding="utf-8")
    (tmp_path / "shop.py").write_text("from neighbour_of_shop import SIZE\nprint('hello')\n" + GOOD, encoding="utf-8")
    assert load_stack(tmp_path / "shop.py").name == "shop"
    printed = capsys.readouterr()
    assert (printed.out, printed.err) == ("", "hello\n"), "standard output belongs to the report"


def test_a_stack_file_may_be_named_stack(tmp_path: Path) -> None:
    (tmp_path / "stack.py").write_text(GOOD, encoding="utf-8")
    assert load_stack(tmp_path / "stack.py").names == ("cache",)


def test_the_playground_is_as_users_know_it() -> None:
    stack = load_stack(PLAYGROUND)
    assert stack.names == ("web", "db", "cache")
    environment = stack.container("web").environment
    assert (environment["DB_USER"], environment["DB_NAME"]) == ("student", "student_notes")
