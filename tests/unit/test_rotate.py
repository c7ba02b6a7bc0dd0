"""What PostgreSQL is told of a new password, and what is kept of it meanwhile."""

from __future__ import annotations

import re
from pathlib import Path

from stack.operations.rotate import scram
from stack.state import State


def test_a_verifier_has_the_form_that_postgresql_keeps_and_no_password() -> None:
    made = scram("s3cret")
    assert re.fullmatch(r"SCRAM-SHA-256\$4096:[A-Za-z0-9+/=]{24}\$[A-Za-z0-9+/=]{44}:[A-Za-z0-9+/=]{44}", made)
    assert "s3cret" not in made
    assert scram("s3cret") != made, "each has its own salt"


def test_who_was_interrupted_carries_on_with_the_same_password(tmp_path: Path) -> None:
    state = State(tmp_path / "shop")
    state.provide_secret("db_password")
    old = state.secret("db_password").reveal()
    coming = state.coming_secret("db_password")
    assert coming not in (old, "")
    assert state.coming_secret("db_password") == coming
    assert state.secret("db_password").reveal() == old
    inode = (state.folder / "secrets" / "db_password").stat().st_ino
    state.settle_secret("db_password")
    assert state.secret("db_password").reveal() == coming
    assert (state.folder / "secrets" / "db_password").stat().st_ino == inode, "a container sees the file, not its name"
    assert not state.has_coming_secret("db_password")
    assert state.coming_secret("db_password") != coming
