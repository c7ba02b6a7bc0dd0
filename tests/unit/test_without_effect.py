"""What is declared for an image, on an engine that runs none."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack import Mail, Postgres, Redis, Stack
from stack.commands.plan import plan
from stack.settings import Settings
from stack.workflow.opening import look
from stack.workflow.without_effect import fields_without_effect


@pytest.mark.parametrize(
    ("component", "role"),
    [
        (Postgres("db", image="pgvector/pgvector:pg18"), "PostgreSQL"),
        (Redis("db", image="valkey/valkey:9"), "Redis"),
        (Mail("db", image="axllent/mailpit:v1.27"), "mail catcher"),
    ],
)
def test_an_image_is_told_where_none_runs(component: Postgres | Redis | Mail, role: str) -> None:
    stack = Stack("shop", [component])
    assert fields_without_effect(stack, "process") == (
        f"db: its image is for Docker alone, and this engine runs a {role} without one",
    )
    assert fields_without_effect(stack, "container") == ()
    assert fields_without_effect(Stack("shop", [type(component)("db")]), "process") == ()


def test_plan_and_up_tell_it(tmp_path: Path) -> None:
    file = tmp_path / "shop.py"
    file.write_text(
        'from stack import Redis, Stack\nstack = Stack("shop", [Redis("cache", image="valkey/valkey:9")])\n'
    )
    settings = Settings(file, None, tmp_path / "state", "embedded", tmp_path / "registry")
    (notice,) = [each for each in plan(settings).data.notices if "its image is for Docker alone" in each]
    assert notice in look(settings).notices
