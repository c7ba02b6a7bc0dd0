"""`stackctl schema`: the JSON schema of what another command prints with `--json`."""

from __future__ import annotations

from collections.abc import Sequence

from stack.errors import UsageError
from stack.report import SCHEMA, Report, as_json
from stack.results.access import JsonSchema
from stack.results.every import LINES, RESULTS, schema_of_command


def schema(words: Sequence[str]) -> Report[JsonSchema]:
    """Report the schema of the command that the words are: `snapshot`, `list`."""
    command = " ".join(words)
    if command not in {*RESULTS, *LINES}:
        raise UsageError(f"{command!r} is no command with JSON output", f"name one of: {', '.join([*RESULTS, *LINES])}")
    made = schema_of_command(command, SCHEMA)
    return Report("schema", as_json(made, indent=2), made, verbatim=True)
