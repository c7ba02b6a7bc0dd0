"""A stack file that can't be used gives one clear error, with the line."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest

import stack
from stack.declaration import load_stack
from stack.errors import ExitCode, StackError
from stack.settings import PLAYGROUND

GOOD = 'from stack import Redis, Stack\nstack = Stack("shop", [Redis("cache")])\n'


def load(folder: Path, text: str | bytes, limit: float = 10) -> StackError:
    file = folder / "shop.py"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(StackError) as raised:
        load_stack(file, limit)
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
            ":2: shop/a: is there twice; a name belongs to one component",
        ),
        ("raise GeneratorExit\n", "file-invalid", ":1: GeneratorExit"),
        ("import asyncio\nraise asyncio.CancelledError\n", "file-invalid", ":2: CancelledError"),
        ("class Odd(Exception):\n    def __str__(self): return 1 / 0\nraise Odd\n", "file-invalid", ":3: Odd"),
        ("import os\nos._exit(0)\n", "file-invalid", ":2: calls os._exit, which would end stackctl"),
        ("from os import _exit\n_exit(3)\n", "file-invalid", ":2: calls os._exit, which would end stackctl"),
        ("x = 1\ny = '\0'\n", "file-invalid", ":2: contains a NUL byte"),
        ("raise SyntaxError('mine')\n", "file-invalid", ":1: mine"),
        (
            GOOD + "object.__setattr__(stack['cache'], 'memory', 'much')\n",
            "declaration-invalid",
            ": cache/memory: 'much' is not a whole number of MiB (at least 32)",
        ),
        (
            GOOD + "object.__setattr__(stack, 'components', 5)\n",
            "file-invalid",
            ": a value of the stack was changed after its construction (TypeError: 'int' object is not iterable)",
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


@pytest.mark.parametrize(
    ("content", "message"),
    [(b"\xff\xfe\x00", ":1: contains a NUL byte"), (b"x = 1\ny = '\xe9'\n", ":2: (unicode error) 'utf-8' codec")],
)
def test_a_binary_file_is_no_stack_file(tmp_path: Path, content: bytes, message: str) -> None:
    assert load(tmp_path, content).message.startswith(message)


@pytest.mark.parametrize("content", [b"\xef\xbb\xbf" + GOOD.encode(), b"# coding: latin-1\n# \xe9\n" + GOOD.encode()])
def test_a_file_in_any_encoding_that_python_knows_is_read(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "shop.py").write_bytes(content)
    assert load_stack(tmp_path / "shop.py").name == "shop"


@pytest.mark.parametrize(
    "text",
    [
        "x = 1\nwhile True: pass\n",
        "import time\ntime.sleep(60)\n",
        "import os; os.mkfifo('PIPE')\nopen('PIPE')\n",
        "x = 1\nwhile True:  # whatever is raised\n    try: x += 1\n    except Exception: pass\n",
        "def forever():\n    while True: ...\nforever()\n",
    ],
)
def test_a_file_that_hangs_ends_with_the_line_that_it_was_at(tmp_path: Path, text: str) -> None:
    error = load(tmp_path, text.replace("PIPE", str(tmp_path / "pipe")), limit=0.1)
    assert re.fullmatch(r":[23]: is still running after 0\.1 s", error.message), error.message
    assert "STACKCTL_FILE_TIMEOUT" in error.hint


def test_a_process_that_the_file_forks_may_end_by_itself(tmp_path: Path) -> None:
    fork = "import os\nchild = os.fork()\nif not child: os._exit(7)\nassert os.waitpid(child, 0)[1] >> 8 == 7\n"
    (tmp_path / "shop.py").write_text(fork + GOOD)
    assert load_stack(tmp_path / "shop.py").name == "shop"


def test_after_a_file_nothing_of_this_process_is_another(tmp_path: Path) -> None:
    before = os._exit, signal.getsignal(signal.SIGALRM)
    load(tmp_path, "while True: pass", limit=0.05)
    assert (os._exit, signal.getsignal(signal.SIGALRM), signal.getitimer(signal.ITIMER_REAL)) == (*before, (0.0, 0.0))


@pytest.mark.parametrize("kind", ["pipe", "device", "loop"])
def test_what_has_no_end_or_no_content_is_no_stack_file(tmp_path: Path, kind: str) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "device").symlink_to("/dev/zero")
    (tmp_path / "loop").symlink_to("loop")
    with pytest.raises(StackError, match=r"is a pipe or a device|symbolic links") as raised:
        load_stack(tmp_path / kind)
    assert raised.value.code == "file-missing"


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
    environment = stack.workload("web", "container").environment
    assert (environment["DB_USER"], environment["DB_NAME"]) == ("student", "student_notes")


def test_each_public_name_is_found_and_no_other() -> None:
    assert set(stack.__all__) <= set(dir(stack))
    assert all(getattr(stack, name) is not None for name in stack.__all__)
    assert stack._PLACES.keys() | {"health"} == set(stack.__all__)
    with pytest.raises(AttributeError, match="module 'stack' has no attribute 'Postgress'"):
        stack.Postgress  # noqa: B018
