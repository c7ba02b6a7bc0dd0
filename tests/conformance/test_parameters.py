"""Parameters on both engines: each source is taken, a change arrives, and a secret stands nowhere else."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import leaks
from tests.cli import Cli
from tests.conformance.test_values import APP
from tests.ports import own_port
from tests.project import below, make_project

STACK = """\
from stack import Parameter, Stack, WebApp

stripe = Parameter("STRIPE_KEY", secret=True, doc="from the dashboard of Stripe")
smtp = Parameter("SMTP_PASSWORD", secret=True)
host = Parameter("SMTP_HOST")
level = Parameter("LOG_LEVEL", default="info")
key = Parameter("SECRET_KEY", secret=True, generate=True)
web = WebApp(
    "web",
    source="app",
    publish=23901,
    health="/",
    command=["python3", "app.py", f"--level={level}"],
    environment={
        "STRIPE_KEY": stripe,
        "STRIPE_FILE": stripe,
        "SECRET_KEY": key,
        "SMTP_URL": f"smtp://user:{smtp}@{host}:25",
        "LEVEL": level,
        "DATABASE_URL": "none",
    },
    env_files=["web.env"],
)
plain = WebApp("plain", source="app", port=8001, publish=23902, health="/", command=["python3", "app.py"])
stack = Stack("shop", [web, plain])
"""
# What a shell, a dotenv file, YAML and Compose take for their own.
STRIPE = "sk_live'\"$HOME ${B}$$ #x"
# A value of a file, and the file.
CLIENT = "cl#ient'\"$HOME"
WEB_ENV = "LEVEL=none\nCLIENT_ID='cl#ient\\'\"$HOME'\nTWO=\"2\nlines\"\n"
NEW = "sk_new'\"$HOME #x"


class Shop(Cli):
    """The command line for an instance of that stack."""

    def declare(self, *lines: str) -> None:
        (self.folder / ".env").write_text("".join(f"{line}\n" for line in lines))

    def opened(self, *words: str) -> bool:
        """Bring it up, and say whether anything changed."""
        ports = ("--port", f"web={self.port}", "--port", f"plain={self.port + 1}")
        return bool(self.data("up", *ports, *words)["changed"])

    @property
    def variables(self) -> dict[str, str]:
        status, answer = self.get()
        assert status == 200, answer
        return answer

    def processes(self) -> dict[str, object]:
        components = self.data("status")["components"]
        return {name: (each["restarts"], each["since"]) for name, each in components.items()}

    def kept(self, name: str) -> str:
        return (self.state / "secrets" / name).read_text()


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory, engine: str) -> Iterator[Shop]:
    app = {name: text.replace("DATABASE_URL", "STRIPE_KEY") for name, text in APP.items()}
    files = {**below("app", app), "shop.py": STACK, "stripe": f"{STRIPE}\n", "web.env": WEB_ENV}
    folder = make_project(tmp_path_factory, "shop", files)
    cli = Shop(folder, file=folder / "shop.py", engine=engine, port=own_port())
    error = cli.fails("up", code="parameter-missing", exit_code=2)
    assert "STRIPE_KEY (for web: from the dashboard of Stripe), SMTP_PASSWORD (for web)" in error["message"]
    assert error["hint"].endswith("STRIPE_KEY=VALUE and SMTP_PASSWORD=VALUE and SMTP_HOST=VALUE")
    assert not cli.state.exists(), "nothing was begun"
    try:
        cli.declare("# of this machine", "SMTP_PASSWORD='p@ss/$HOME'")
        cli.environment = {"SMTP_HOST": "mail.example"}
        assert cli.opened("--set", f"STRIPE_KEY=@{folder / 'stripe'}", "--set", "LOG_LEVEL=debug")
        yield cli
    finally:
        cli.reset()


def test_each_source_is_taken(shop: Shop) -> None:
    variables = shop.variables
    assert variables["STRIPE_KEY"] == STRIPE
    assert variables["SMTP_URL"] == "smtp://user:p%40ss%2F%24HOME@mail.example:25"
    assert variables["LEVEL"] == "debug"
    assert (variables["CLIENT_ID"], variables["TWO"]) == (CLIENT, "2\nlines")
    assert len(variables["SECRET_KEY"]) > 40
    assert shop.ok("exec", "web", "--", "cat", variables["STRIPE_FILE"]).stdout.rstrip("\n") == STRIPE
    shown = shop.data("env", "web")["variables"]
    assert (shown["CLIENT_ID"]["value"], shown["CLIENT_ID"]["origin"]) == ("***", "web.env line 2")
    assert {name: (each["value"], each["origin"]) for name, each in shown.items() if each["parameters"]} == {
        "STRIPE_KEY": ("***", "kept from before"),
        "STRIPE_FILE": (variables["STRIPE_FILE"], "STRIPE_KEY: kept from before"),
        "SECRET_KEY": ("***", "generated"),
        "SMTP_URL": (
            "smtp://user:***@mail.example:25",
            "declared, from SMTP_PASSWORD (.env line 2), SMTP_HOST (the environment)",
        ),
        "LEVEL": ("debug", "LOG_LEVEL: kept from before"),
    }
    assert {name: variables[name] for name in shown if not shown[name]["secret"] and name != "PATH"} == {
        name: each["value"] for name, each in shown.items() if not each["secret"] and name != "PATH"
    }
    before = shop.processes()
    assert not shop.opened(), "what was given once is kept, and so is what was generated"
    assert shop.processes() == before
    assert shop.variables == variables


def test_no_secret_stands_in_another_place(shop: Shop, tmp_path: Path) -> None:
    secrets = [STRIPE, "p@ss/$HOME", shop.variables["SECRET_KEY"], CLIENT]
    assert leaks.holders(leaks.command_lines(), secrets) == [], "`ps` shows it"
    written = leaks.written(shop)
    assert leaks.holders(written, secrets) == [], "a file shows it"
    bundled = leaks.bundled(shop, tmp_path)
    assert any("starting with" in text for text in bundled.values()), "the log of the app is there"
    printed = leaks.printed(shop, "env web", "env web --json")
    assert leaks.holders(bundled | printed, secrets) == []
    assert "variables that hold a secret: web: STRIPE_KEY, SECRET_KEY, SMTP_URL" in printed["plan"]


def test_a_change_reaches_its_users_alone(shop: Shop, tmp_path: Path) -> None:
    before, generated = shop.processes(), shop.variables["SECRET_KEY"]
    shop.declare("SMTP_PASSWORD=other", "SMTP_HOST=from.the.file", "LOG_LEVEL=warn")
    shop.environment = {"STRIPE_KEY": NEW}
    (action,) = [each for each in shop.data("plan")["actions"] if each["action"] != "keep"]
    assert action["component"] == "web"
    assert leaks.holders({"plan": str(action)}, [NEW]) == []
    assert shop.opened()
    variables = shop.variables
    assert variables["STRIPE_KEY"] == NEW
    assert variables["SMTP_URL"] == "smtp://user:other@from.the.file:25"
    assert (variables["LEVEL"], variables["SECRET_KEY"]) == ("warn", generated)
    assert shop.ok("exec", "web", "--", "cat", variables["STRIPE_FILE"]).stdout.rstrip("\n") == NEW
    after = shop.processes()
    assert {name for name in before if before[name] != after[name]} == {"web"}


def test_a_change_in_a_file_is_planned_by_the_name_of_the_variable(shop: Shop) -> None:
    file = shop.folder / "web.env"
    file.write_text(WEB_ENV.replace("cl#ient", "other client"))
    (action,) = [each for each in shop.data("plan")["actions"] if each["action"] != "keep"]
    assert (action["component"], action["reasons"]) == ("web", ["the secret CLIENT_ID of web.env changed"])
    assert shop.opened()
    assert shop.variables["CLIENT_ID"] == CLIENT.replace("cl#ient", "other client")
    file.unlink()
    error = shop.fails("up", code="declaration-invalid", exit_code=2)
    assert error["message"].endswith(f"shop/web/env_files/web.env: {file} does not exist")
    assert shop.ok("status"), "what only looks is not hindered"
    file.write_text(WEB_ENV.replace("cl#ient", "other client"))
    assert not shop.opened()


def test_a_generated_one_is_rotated(shop: Shop) -> None:
    before, old = shop.processes(), shop.variables["SECRET_KEY"]
    assert shop.data("rotate", "SECRET_KEY")["restarted"] == ["web"]
    after, new = shop.processes(), shop.variables["SECRET_KEY"]
    assert new != old
    assert {name for name in before if before[name] != after[name]} == {"web"}
    assert not shop.opened()
    assert shop.fails("rotate", "STRIPE_KEY", code="usage", exit_code=2)["message"].endswith("the environment")


def test_what_starts_nothing_needs_no_value(shop: Shop) -> None:
    shop.declare()
    shop.environment = {}
    shop.ok("stop")
    assert shop.data("status")["state"] == "stopped"
    assert shop.fails("start", code="parameter-missing", exit_code=2)["message"].startswith("SMTP_PASSWORD")
    shop.ok("down")
