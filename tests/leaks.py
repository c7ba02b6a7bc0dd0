"""Look for secrets in all places that others see: commands that run, files, reports and what `stackctl` prints."""

from __future__ import annotations

import json
import zipfile
from collections.abc import Iterable, Mapping
from pathlib import Path
from urllib.parse import quote

from tests.cli import Cli

# What is for the owner alone, or written by the programs themselves.
_ALLOWED = ("secrets/", ".env", "variables-", "pgpass", "logs/")
_COMMANDS = (
    "render",
    "plan",
    "plan --json",
    "up --json",
    "status --json",
    "doctor --json",
    "env --json",
)


def holders(texts: Mapping[str, str], secrets: Iterable[str]) -> list[str]:
    """Name the texts that hold one of the secrets in any form."""
    forms = [form for secret in secrets for form in _forms(secret)]
    return [name for name, text in texts.items() if any(form in text for form in forms)]


def _forms(secret: str) -> tuple[str, ...]:
    return secret, quote(secret, safe=""), json.dumps(secret)[1:-1], secret.replace("$", "$$")


def command_lines() -> dict[str, str]:
    """Return the words of each process of this machine, as `ps` shows them."""
    return {
        str(entry): (entry / "cmdline").read_bytes().decode(errors="replace")
        for entry in Path("/proc").iterdir()
        if entry.name.isdigit() and (entry / "cmdline").exists()
    }


def written(cli: Cli) -> dict[str, str]:
    """Return the files of an instance but those of secrets and logs."""
    home = Path(cli.data("env").get("COMPOSE_FILE", cli.state)).parent
    return {
        str(path): path.read_bytes().decode(errors="replace")
        for folder in {cli.state, home}
        for path in folder.rglob("*")
        if path.is_file() and not any(each in str(path) for each in _ALLOWED)
    }


def bundled(cli: Cli, folder: Path) -> dict[str, str]:
    """Return the files of a report of `doctor`, with the logs."""
    cli.ok("doctor", "--bundle", str(folder / "report.zip"))
    with zipfile.ZipFile(folder / "report.zip") as bundle:
        return {name: bundle.read(name).decode() for name in bundle.namelist()}


def printed(cli: Cli, *more: str) -> dict[str, str]:
    return {name: str(cli.run(*name.split())) for name in (*_COMMANDS, *more)}
