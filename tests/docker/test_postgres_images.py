"""An image of PostgreSQL that does not fit what is declared, and settings that it does not take, at the first `up`."""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from stack.components.postgres.image import in_image
from tests.cli import Cli
from tests.ports import own_port

pytestmark = pytest.mark.docker

STACK = """\
from stack import Postgres, Stack
stack = Stack("shop", [Postgres("db", image="{image}"{fields})])
"""


class Shop(Cli):
    image = ""

    def declare(self, **fields: object) -> None:
        assert self.file is not None
        written = "".join(f", {name}={value!r}" for name, value in fields.items())
        self.file.write_text(STACK.format(image=self.image, fields=written))

    @property
    def volumes(self) -> str:
        """Those that hold anything."""
        names = docker("volume", "ls", "--quiet", "--filter", f"name=stackctl-{self.instance}-").split()
        return "".join(
            docker("run", "--rm", "--volume", f"{name}:/there", self.image, "find", "/there", "-mindepth", "1")
            for name in names
        )


def docker(*words: str) -> str:
    return subprocess.run(["docker", *words], capture_output=True, text=True, timeout=120, check=True).stdout.strip()


@pytest.fixture
def shop(tmp_path: Path) -> Iterator[Shop]:
    cli = Shop(tmp_path, file=tmp_path / "shop.py", port=own_port())
    cli.image = f"{cli.instance}/database:of-one-s-own"
    docker("tag", "postgres:18", cli.image)
    try:
        yield cli
    finally:
        cli.reset()
        docker("image", "rm", cli.image)


@pytest.mark.long
def test_what_does_not_fit_makes_no_data_and_can_be_mended(shop: Shop) -> None:
    shop.declare(version=17)
    error = shop.fails("up", code="image-differs")
    assert "its image has PostgreSQL 18, and version=17 is declared" in error["message"]
    shop.declare(image_user="4321:4321")
    error = shop.fails("up", code="image-differs")
    assert "its image has no user 4321, and postgres is 999:999 there" in error["message"]
    assert shop.volumes == ""
    shop.declare(settings={"wrk_mem": "1MB"})
    assert "wrk_mem" in shop.fails("up", code="setting-refused")["message"]
    shop.declare(settings={"work_mem": "1MB"})
    shop.data("up")
    assert shop.ok("exec", "db", "--", "psql", "-U", "app", "-d", "app", "-Atc", "SHOW work_mem").stdout == "1MB\n"
    shop.ok("down")
    shop.declare(version=17)
    assert shop.fails("up", code="data-version"), "that there is data of 18 by now is known"


@pytest.mark.parametrize("major", [17, 18])
def test_the_program_itself_is_run_and_not_what_looks_for_it(major: int) -> None:
    first, *rest = in_image(["sh", "-c", "command -v psql"])
    found = docker("run", "--rm", "--entrypoint", first, f"postgres:{major}", *rest)
    assert found == f"/usr/lib/postgresql/{major}/bin/psql"


def test_an_image_without_a_folder_of_programs_finds_them_as_before() -> None:
    first, *rest = in_image(["printf", "%s|", "a b", "$HOME"])
    assert docker("run", "--rm", "--entrypoint", first, "redis:8", *rest) == "a b|$HOME|"
