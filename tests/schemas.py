"""Check what a command prints against the schema that it publishes."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from typing import Any

from jsonschema import Draft202012Validator
from jsonschema.exceptions import best_match, relevance

from stack.report import SCHEMA
from stack.results.every import schema_of_command

# A command line that can't be read has no command; every schema allows for that.
_ANY_COMMAND = "status"


def problems(envelope: Mapping[str, Any]) -> str:
    """Say what in an envelope does not match the schema of its command; empty if all does."""
    return first_problem(envelope["command"] or _ANY_COMMAND, envelope)


def first_problem(command: str, output: Mapping[str, Any]) -> str:
    error = best_match(_validator(command).iter_errors(output), relevance)
    return f"{error.json_path}: {error.message}" if error else ""


@functools.cache
def _validator(command: str) -> Draft202012Validator:
    made = schema_of_command(command, SCHEMA)
    Draft202012Validator.check_schema(made)
    return Draft202012Validator(made)
