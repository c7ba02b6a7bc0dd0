"""What is recorded of the last `up`: each step gives the next value, and the journal writes it."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack.applied import Applied, FileState
from stack.errors import StackError
from stack.fields import Fields, fingerprint
from stack.state import State
from stack.workflow.journal import Journal

WEB: Fields = {"image": "web:1"}
OLD: Fields = {"image": "web:0"}
DATA: Fields = {"user": "student", "store": "db-pgdata", "password": "digest"}
FILES = {"app.py": FileState(1, 1, 0o644, "digest")}


def test_what_is_intended_has_its_fields_and_its_new_data() -> None:
    before = Applied(fields={fingerprint(OLD): OLD}, separated=["other"])
    applied = before.intended([WEB], {"db": DATA})
    assert applied.fields == {fingerprint(OLD): OLD, fingerprint(WEB): WEB}
    assert applied.data == {"db": DATA}
    assert applied.separated == ["other", "db-pgdata"], "the user of new data is never a superuser"
    assert before == Applied(fields={fingerprint(OLD): OLD}, separated=["other"])


def test_what_was_made_forgets_fields_that_nothing_uses() -> None:
    before = Applied(fields={fingerprint(OLD): OLD, fingerprint(WEB): WEB}, migrations={"db": {"1.sql": "a"}})
    applied = before.made({"web": fingerprint(WEB)}, [WEB], {"web": FILES}, {"db_password": "digest"})
    assert (applied.wanted, applied.components) == ("up", ["web"])
    assert applied.fields == {fingerprint(WEB): WEB}
    assert applied.sources == {"web": FILES}
    assert applied.migrations == {"db": {"1.sql": "a"}}


def test_fields_of_a_component_not_replaced_yet_are_kept() -> None:
    before = Applied(fields={fingerprint(OLD): OLD, fingerprint(WEB): WEB})
    assert set(before.made({"web": fingerprint(OLD)}, [WEB], {}, {}).fields) == {fingerprint(OLD), fingerprint(WEB)}


def test_a_store_is_demoted_once_and_without_its_folder() -> None:
    assert Applied().demoted(["/data/db-pgdata", "db-pgdata"]).separated == ["db-pgdata"]


def test_extensions_and_migrations_are_recorded_by_database() -> None:
    applied = Applied(extensions={"db": ["vector"]}).extended("db", ["vector", "citext"]).migrated("db", {"1.sql": "a"})
    assert applied.extensions == {"db": ["vector", "citext"]}
    assert applied.migrations == {"db": {"1.sql": "a"}}


def test_ready_data_is_recorded_only_if_its_origin_is_unknown() -> None:
    now = {**DATA, "user": "other"}
    assert Applied(data={"db": DATA}).verified({"db": now}).data == {"db": DATA}
    assert Applied().verified({"db": now}).data == {"db": now}
    moved = {**now, "store": "db-pgdata.2"}
    assert Applied(data={"db": DATA}).verified({"db": moved}).data == {"db": moved}, "this is data of another store"


def test_a_rotation_changes_secrets_and_the_data_concerned() -> None:
    rotated = {**DATA, "password": "new"}
    applied = Applied(data={"db": DATA, "orders": DATA}).rotated({"db_password": "new"}, {"db": rotated})
    assert applied.secrets == {"db_password": "new"}
    assert applied.data == {"db": rotated, "orders": DATA}


def test_a_switch_of_stores_forgets_what_the_old_data_has_had() -> None:
    had = {"db": {"1.sql": "a"}, "orders": {"1.sql": "b"}}
    before = Applied(migrations=had, extensions={"db": ["vector"]}, kept={"db.2": {"made": "x"}, "db.3": {"made": "y"}})
    applied = before.switched(["db"], {"db": DATA}, ["db.2"], {"db": {"made": "z"}})
    assert applied.data == {"db": DATA}
    assert applied.migrations == {"orders": {"1.sql": "b"}}
    assert applied.extensions == {}
    assert applied.kept == {"db.3": {"made": "y"}, "db": {"made": "z"}}, "a store in use is not one that is kept"


def test_what_is_saved_is_what_is_read_and_what_is_next(tmp_path: Path) -> None:
    state = State(tmp_path / "state")
    journal = Journal(state)
    assert journal.applied == state.applied()
    journal.save(journal.applied.wanting("stopped"))
    assert journal.applied.wanted == "stopped"
    assert state.applied().wanted == "stopped"
    journal.save(journal.applied.built({"web": FILES}))
    assert (state.applied().wanted, state.applied().sources) == ("stopped", {"web": FILES})


def test_what_cannot_be_written_is_not_recorded(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(*_: object) -> None:
        raise StackError("state-unusable", "no space left", "make room")

    journal = Journal(State(tmp_path / "state"))
    before = journal.applied
    monkeypatch.setattr(State, "write", refuse)
    with pytest.raises(StackError):
        journal.save(before.wanting("down"))
    assert journal.applied == before
    assert "no space left" in journal.try_save(before.wanting("down"))
    assert journal.applied == before
