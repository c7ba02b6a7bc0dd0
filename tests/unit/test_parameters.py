"""Parameters: what they are declared with, where their values come from, and what happens without one."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from stack import Container, DeclarationError, Parameter, Postgres, Stack, WebApp, Worker
from stack.cli.parameters import chosen
from stack.commands.plan import plan
from stack.engines.compose import files, render
from stack.engines.compose.driver import ComposeEngine
from stack.errors import StackError, UsageError
from stack.observed import Observed
from stack.parameters import Given
from stack.progress import Silence
from stack.references import ParameterReference, ParameterSecret, SecretValue, Text, deferred
from stack.settings import Settings
from stack.state import State
from stack.workflow.asked import Switches
from stack.workflow.opening import change, look
from stack.workflow.parameters import keep_secrets
from tests.terminal import answered

stripe = Parameter("STRIPE_KEY", secret=True)
key = Parameter("SECRET_KEY", secret=True, generate=True)
level = Parameter("LOG_LEVEL", default="info")


def web(**environment: Any) -> WebApp:
    return WebApp("web", source="app", command=["serve"], environment=environment)


WRONG: dict[str, Callable[[], object]] = {
    "Parameter: '1A' is not the name of a variable (like STRIPE_KEY)": lambda: Parameter("1A"),
    "Parameter: 'A-B' is not the name of a variable (like STRIPE_KEY)": lambda: Parameter("A-B"),
    "STRIPE/secrets: is not a field": lambda: Parameter("STRIPE", secrets=True),  # type: ignore[call-arg]
    "STACKCTL_FILE/name: begins with STACKCTL_, as the variables of stackctl itself do": lambda: Parameter(
        "STACKCTL_FILE"
    ),
    "A/secret: 'yes' is neither True nor False": lambda: Parameter("A", secret="yes"),  # type: ignore[arg-type]
    "A/generate: and a default are both given; leave one out": lambda: Parameter(
        "A", secret=True, default="x", generate=True
    ),
    "A/generate: makes a random value, which is a secret; add secret=True": lambda: Parameter("A", generate=True),
    "A/default: True is neither text nor a number": lambda: Parameter("A", default=True),
    "A/default: has several lines; encode it, for example with `base64 -w 0`": lambda: Parameter("A", default="a\nb"),
    "A/default: is a reference or another parameter; it is plain text": lambda: Parameter("A", default=f"{level}"),
    "A/doc: 'a\\nb' is not a line of text": lambda: Parameter("A", doc="a\nb"),
    "LOG_LEVEL/: has its value in an instance alone, so it can't be formatted as '>6'": lambda: f"{level:>6}",
    "web/command: holds a secret; one stands in `environment` alone, because all else is seen by many": lambda: WebApp(
        "web", source="app", command=["serve", f"--key={stripe}"]
    ),
    "web/source: is a reference; these stand in `environment` and in `command` alone": lambda: WebApp(
        "web",
        source=level,  # type: ignore[arg-type]
    ),
    "box/args/A: a reference is not plain text": lambda: Container("box", source="app", args={"A": f"{level}"}),
    "web/environment/A_FILE: gets the path of a file: give the secret by itself, like db.password, not in a text": (
        lambda: web(A_FILE=f"{stripe}")
    ),
    "web/environment/A: holds a reference that was changed as text; only the engine knows what it stands for": (
        lambda: web(A=json.dumps([f"{stripe}"]))
    ),
    "shop/LOG_LEVEL: is declared with other settings in web and api": lambda: Stack(
        "shop", [web(A=level), replace(web(A=Parameter("LOG_LEVEL")), name="api", publish=8001)]
    ),
}


@pytest.mark.parametrize(("message", "make"), WRONG.items(), ids=WRONG)
def test_a_wrong_declaration_raises_with_its_path(message: str, make: Callable[[], object]) -> None:
    with pytest.raises(DeclarationError) as raised:
        make()
    assert raised.value.message == message


def test_a_parameter_keeps_its_settings_in_a_text() -> None:
    many = Parameter("KEY", secret=True, default="a b\"$'é", doc="The key: see https://example.com")
    found = deferred(f"https://user:{many}@host/?level={level}")
    assert found == Text(
        (
            "https://user:",
            SecretValue(ParameterSecret.to(many), encoded=True),
            "@host/?level=",
            ParameterReference.to(level),
        )
    )
    stack = Stack("shop", [web(URL=f"{many}"), Worker("worker", of=web(URL=f"{many}"), command=["work"])])
    assert {name: (each.parameter, each.users) for name, each in stack.parameters.items()} == {
        "KEY": (many, ("web", "worker"))
    }


SHOP = """
from stack import Parameter, Postgres, Stack, WebApp
stripe = Parameter("STRIPE_KEY", secret=True, doc="from the dashboard")
host = Parameter("SMTP_HOST")
level = Parameter("LOG_LEVEL", default="info")
key = Parameter("SECRET_KEY", secret=True, generate=True)
web = WebApp("web", source="app", command=["serve", f"--level={level}"], environment={
    "STRIPE_KEY": stripe, "SMTP": f"smtp://{host}:25", "KEY_FILE": key})
api = WebApp("api", source="app", port=8001, command=["serve"], environment={"HOST": host})
stack = Stack("shop", [web, api])
"""


def shop(folder: Path, file: str = "", variables: Mapping[str, str] | None = None, *texts: str) -> Settings:
    (folder / "app").mkdir(exist_ok=True)
    (folder / "app" / "Dockerfile").write_text("FROM scratch\n")
    (folder / "shop.py").write_text(SHOP, encoding="utf-8")
    if file:
        (folder / ".env").write_text(file, encoding="utf-8")
    return Settings(
        folder / "shop.py",
        None,
        folder / "state",
        "compose",
        folder / "registry",
        variables=variables or {},
        chosen=chosen(texts),
    )


def origins(settings: Settings) -> dict[str, str]:
    return {name: each.origin for name, each in look(settings).instance.parameters.items()}


def test_the_first_source_counts(tmp_path: Path) -> None:
    file = "# of this machine\n\nSTRIPE_KEY=a\nSMTP_HOST=b\nLOG_LEVEL=c\n"
    assert origins(shop(tmp_path)) == {"LOG_LEVEL": "the default"}
    settings = shop(tmp_path, file, {"SMTP_HOST": "x", "LOG_LEVEL": ""}, "LOG_LEVEL=debug")
    assert origins(settings) == {
        "STRIPE_KEY": ".env line 3",
        "SMTP_HOST": "the environment",
        "LOG_LEVEL": "the command line",
    }
    assert "debug" not in repr(settings)
    assert "debug" not in repr(look(settings).parameters)


def test_an_empty_secret_is_not_given(tmp_path: Path) -> None:
    assert origins(shop(tmp_path, "STRIPE_KEY=\nSMTP_HOST=\n", {"STRIPE_KEY": ""})) == {
        "SMTP_HOST": ".env line 2",
        "LOG_LEVEL": "the default",
    }


def test_a_parameter_of_a_group_that_is_off_is_kept_for_it(tmp_path: Path) -> None:
    (tmp_path / "token").write_text("hunter2")
    settings = shop(tmp_path, "", {}, "TOKEN=@" + str(tmp_path / "token"), "LEVEL=debug")
    settings.file.write_text(
        "from stack import Container, Parameter, Stack\n"
        "web = Container('web', image='nginx:1.29')\n"
        "level, token = Parameter('LEVEL'), Parameter('TOKEN', secret=True)\n"
        "tool = Container('tool', image='nginx:1.29', environment={'LEVEL': level, 'TOKEN': token})\n"
        "stack = Stack('shop', [web, tool], groups={'tools': [tool]})\n"
    )
    with change(settings, Silence()) as opened:
        opened.state.remember(opened.record)
        keep_secrets(opened.state, opened.instance.stack, opened.instance.parameters)
    later = replace(settings, chosen={})
    assert origins(later) == {}, "nothing that is on needs one"
    found = look(later, groups=Switches(("tools",))).instance.parameters
    assert {name: (each.value, each.origin) for name, each in found.items()} == {
        "LEVEL": ("debug", "kept from before"),
        "TOKEN": ("hunter2", "kept from before"),
    }


def test_a_stack_without_parameters_reads_no_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ComposeEngine, "observe_all", lambda engine: Observed({}))
    settings = shop(tmp_path, "this is no such file")
    settings.file.write_text("from stack import Redis, Stack\nstack = Stack('shop', [Redis('cache')])\n")
    assert plan(settings).data.notices == ()


def test_all_that_is_missing_is_named_before_anything_starts(tmp_path: Path) -> None:
    settings = shop(tmp_path)
    with pytest.raises(StackError) as raised, change(settings, Silence()):
        pass
    error = raised.value
    assert (error.code, error.exit_code) == ("parameter-missing", 2)
    assert error.message == "STRIPE_KEY (for web: from the dashboard), SMTP_HOST (for web and api) have no value"
    assert error.hint == f"add to {tmp_path / '.env'}: STRIPE_KEY=VALUE and SMTP_HOST=VALUE"
    assert not (tmp_path / "state").exists()
    with change(settings, Silence(), parameters=False) as opened:
        assert opened.instance.parameters.keys() == {"LOG_LEVEL"}, "`stop` and `down` need none"


def test_a_malformed_line_is_told_by_its_number(tmp_path: Path) -> None:
    settings = shop(tmp_path, "A=b\nSTRIPE_KEY='hunter2\n")
    with pytest.raises(StackError) as raised:
        plan(settings)
    assert raised.value.code == "parameter-invalid"
    assert raised.value.message == f"{tmp_path / '.env'}:2: begins a quotation that does not end"
    with change(settings, Silence(), parameters=False):
        pass


def test_a_value_of_several_lines_is_refused_without_being_shown(tmp_path: Path) -> None:
    for settings in (shop(tmp_path, "", {"STRIPE_KEY": "hunter2\nx"}), shop(tmp_path, 'STRIPE_KEY="hunter2\\nx"')):
        with pytest.raises(StackError) as raised:
            plan(settings)
        assert "has several lines" in raised.value.message
        assert "hunter2" not in raised.value.message


CHOSEN_WRONG = {
    ("NOPE=1",): "--set NOPE: shop has no such parameter",
    ("STRIPE_KEY=hunter2",): "--set STRIPE_KEY: is a secret, and every user of this machine sees a command line",
    ("LOG_LEVEL",): "--set: 'LOG_LEVEL' is not NAME=VALUE",
    ("=x",): "--set: '' is not NAME=VALUE",
    ("LOG_LEVEL=a", "LOG_LEVEL=b"): "--set LOG_LEVEL: is given twice",
    ("LOG_LEVEL=a\nb",): "--set LOG_LEVEL: its value has several lines; encode it, for example with `base64 -w 0`",
}


@pytest.mark.parametrize(("texts", "message"), CHOSEN_WRONG.items())
def test_a_wrong_option_is_refused_without_its_value(tmp_path: Path, texts: tuple[str, ...], message: str) -> None:
    with pytest.raises(UsageError) as raised:
        look(shop(tmp_path, "", {}, *texts))
    assert raised.value.message == message
    assert "hunter2" not in raised.value.hint


def test_a_secret_of_the_command_line_comes_from_a_file_or_input(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "key").write_text("from a file\r\n")
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"from input\n")))
    given = chosen([f"STRIPE_KEY=@{tmp_path / 'key'}", "OTHER=@-", "PLAIN=a=b"])
    assert {name: (each.value, each.visible) for name, each in given.items()} == {
        "STRIPE_KEY": ("from a file", False),
        "OTHER": ("from input", False),
        "PLAIN": ("a=b", True),
    }
    with pytest.raises(StackError, match="can't be read: No such file"):
        chosen([f"STRIPE_KEY=@{tmp_path / 'nothing'}"])


def test_what_is_given_once_is_kept_for_the_instance(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk_live")
    first = shop(tmp_path, "", {"SMTP_HOST": "mail"}, f"STRIPE_KEY=@{tmp_path / 'key'}", "LOG_LEVEL=debug")
    with change(first, Silence()) as opened:
        opened.state.remember(opened.record)
        keep_secrets(opened.state, opened.instance.stack, opened.instance.parameters)
        made = opened.instance.parameters["SECRET_KEY"].value
    kept = opened.state.folder / "secrets" / "kept-STRIPE_KEY"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert "sk_live" not in (opened.state.folder / "record.json").read_text()
    again = look(shop(tmp_path)).instance.parameters
    assert {name: (each.value, each.origin) for name, each in again.items()} == {
        "STRIPE_KEY": ("sk_live", "kept from before"),
        "LOG_LEVEL": ("debug", "kept from before"),
        "SECRET_KEY": (made, "generated"),
    }
    assert look(shop(tmp_path, "LOG_LEVEL=warn\n")).instance.parameters["LOG_LEVEL"].value == "warn"
    assert opened.state.secret("parameter-SECRET_KEY").reveal() == made, "a file is read from there"


def test_a_value_is_asked_for_on_a_terminal(tmp_path: Path) -> None:
    asked = []

    def ask(parameter: Parameter) -> str | None:
        asked.append((parameter.name, parameter.doc))
        return "typed"

    with change(shop(tmp_path), Silence(), ask=ask) as opened:
        assert opened.instance.parameters["SMTP_HOST"] == Given("typed", "typed in")
        assert opened.record.parameters == {"SMTP_HOST": "typed"}
    assert asked == [("STRIPE_KEY", "from the dashboard"), ("SMTP_HOST", "")]


ASKING = """
import sys
from stack import Parameter
from stack.cli.terminal import ask_for
for name, secret in (("KEY", True), ("HOST", False)):
    print(repr(ask_for(Parameter(name, secret=secret, doc="as told"))))
"""


@pytest.mark.parametrize(
    ("typed", "printed"),
    [
        (["hunter2\n", " mail \n"], ["'hunter2'", "'mail'"]),
        # An empty answer is none, and Ctrl-D ends the question.
        (["\n", "hunter2\n", "\n", "mail\n"], ["'hunter2'", "'mail'"]),
        (["\4", "\4"], ["None", "None"]),
    ],
)
def test_a_secret_is_typed_unseen(typed: list[str], printed: list[str], tmp_path: Path) -> None:
    exit_code, shown = answered([sys.executable, "-c", ASKING], typed, " (as told): ", tmp_path)
    assert exit_code == 0, shown
    assert [line for line in shown.split() if line.startswith(("'", "None"))] == printed
    assert shown.count("hunter2") == ("'hunter2'" in printed), "it is printed by the program alone"


def test_plan_shows_a_value_and_hides_a_secret(tmp_path: Path) -> None:
    given = {"STRIPE_KEY": "hunter2", "SMTP_HOST": "mail.example"}
    opened = look(shop(tmp_path, "", given))
    made = replace(opened.instance, parameters=dict(opened.instance.parameters) | {"SECRET_KEY": Given("x", "")})
    fields = render.fields(made)["web"]
    assert fields["environment.SMTP"] == "smtp://mail.example:25"
    assert fields["environment.STRIPE_KEY"] == "***"
    assert fields["command"] == "serve --level=info"
    text = render.render(made)
    assert "parameter-SECRET_KEY" in text
    assert not [each for each in ("hunter2", "mail.example") if each in text]
    files.write_configuration(made)
    assert made.variables_file("web").read_text() == 'STRIPE_KEY="hunter2"\nSMTP="smtp://mail.example:25"\n'
    assert "hunter2" not in repr(opened)


def test_a_file_of_variables_stays_while_a_parameter_has_no_value(tmp_path: Path) -> None:
    made = look(shop(tmp_path, "", {"SMTP_HOST": "mail"})).instance
    State(made.state).write("compose/web.env", "A=1\n")
    with pytest.raises(StackError) as raised:
        render.fields(replace(made, parameters={}))
    assert raised.value.code == "parameter-missing"
    files.write_configuration(made)
    assert made.variables_file("web").read_text() == "A=1\n"


def test_a_database_may_have_a_parameter_beside_it() -> None:
    db = Postgres("db")
    declared = Stack("shop", [WebApp("web", source="app", uses=[db], environment={"U": f"{db.url}?a={stripe}"}), db])
    revealed = declared.workload("web", "container").revealed
    assert [secret.id for secret in revealed] == ["db_password", "parameter-STRIPE_KEY"]
