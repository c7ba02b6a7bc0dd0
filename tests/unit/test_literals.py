"""A secret that stands in the stack file is told with its place, by every command that is asked before and after."""

from __future__ import annotations

from pathlib import Path

import pytest

from stack.commands.doctor import examine
from stack.commands.plan import plan
from stack.literals import LiteralSecret, literal_secrets
from stack.settings import Settings
from stack.workflow.opening import look

SHOP = """
import os
from stack import Redis, Stack, WebApp
cache = Redis("cache")
web = WebApp("web", source=".", command=["true"], uses=[cache], environment={VARIABLES})
stack = Stack("shop", [web, cache])
"""


def shop(folder: Path, variables: str) -> Settings:
    file = folder / "shop.py"
    file.write_text(SHOP.replace("{VARIABLES}", variables), encoding="utf-8")
    return Settings(file, None, folder / "state", "embedded", folder / "registry")


@pytest.mark.parametrize(
    "variables",
    [
        '{"LOG": "hunter2"}',
        '{"DB_PASSWORD_FILE": "/hunter2"}',
        '{"TOKEN_SECONDS": 30, "KEY_CHECK": "true", "API_TOKEN": ""}',
        '{"DB_PASSWORD": os.environ["SHOP_PASSWORD"]}',
        '{"CACHE_KEY": f"hunter2-{cache.host}"}',
    ],
)
def test_what_is_no_secret_or_comes_from_elsewhere_is_not_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variables: str
) -> None:
    monkeypatch.setenv("SHOP_PASSWORD", "open sesame")
    assert look(shop(tmp_path, variables)).literal == ()


def test_a_literal_secret_is_told_without_its_value(tmp_path: Path) -> None:
    settings = shop(tmp_path, '{"DB_PASSWORD": "hunter2", "api_token": "abc"}')
    opened = look(settings)
    assert opened.literal == (
        LiteralSecret("DB_PASSWORD", ("web",)),
        LiteralSecret("api_token", ("web",)),
    )
    assert literal_secrets(opened.instance.stack, "") == ()
    report = plan(settings)
    lines = [each.message for each in examine(settings) if (each.check, each.level) == ("stack file", "warn")]
    for text in (report.text, "\n".join(report.data.notices), "\n".join(opened.notices), "\n".join(lines)):
        assert "web/environment/DB_PASSWORD looks like a secret" in text
        assert "web/environment/api_token" in text
        assert "hunter2" not in text


def test_one_that_several_components_have_is_told_once(tmp_path: Path) -> None:
    settings = shop(tmp_path, '{"API_TOKEN": "hunter2", "OTHER_TOKEN": "swordfish"}')
    text = (
        settings.file.read_text()
        .replace("WebApp\n", "WebApp, Worker\n")
        .replace("[web, cache]", "[web, worker, cache]")
    )
    worker = 'worker = Worker("worker", of=web, command=["true"], environment={"OTHER_TOKEN": "hunter2"})\nstack ='
    settings.file.write_text(text.replace("stack =", worker, 1))
    (token,) = [each for each in plan(settings).data.notices if "/environment/API_TOKEN" in each]
    assert token.startswith("web/environment/API_TOKEN (and of worker) looks like a secret")
    others = [each.partition(" looks")[0] for each in look(settings).literal_notices if "OTHER" in each]
    assert others == ["web/environment/OTHER_TOKEN", "worker/environment/OTHER_TOKEN"], "these are two"
