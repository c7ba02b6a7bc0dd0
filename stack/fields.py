"""The declaration of a component as flat text, name by name: what a plan compares and shows."""

from __future__ import annotations

import ast
import hashlib
import json
import re
import shlex
from collections.abc import Mapping, Sequence

Fields = Mapping[str, str]
"""By name, like `environment.CACHE_TTL` or `mem_limit`; a field that is not there is not declared."""

HIDDEN_WORDS = "PASSWORD|PASSWD|SECRET|TOKEN|KEY|CREDENTIAL"
"""As a regular expression: what is in the name of a variable that holds a secret."""

_ENVIRONMENT = "environment."


def flatten(value: Mapping[str, object], prefix: str = "") -> dict[str, str]:
    """Nested mappings as dotted names, a list as the words of a command line."""
    flat: dict[str, str] = {}
    for name, part in value.items():
        if isinstance(part, Mapping):
            flat |= flatten(part, f"{prefix}{name}.")
        elif isinstance(part, Sequence) and not isinstance(part, str):
            flat[prefix + name] = shlex.join(str(word) for word in part)
        else:
            flat[prefix + name] = f"{part:g}" if isinstance(part, float) else str(part)
    return flat


def readable(field: str, value: str) -> str:
    """Write the value of a field for people: a mount that has options as `source:target`, like any other."""
    if field != "volumes":
        return value
    return shlex.join(map(_short_mount, shlex.split(value)))


def _short_mount(word: str) -> str:
    if not word.startswith("{"):
        return word
    mount = ast.literal_eval(word)  # as `flatten` wrote it
    return ":".join(mount[name] for name in ("source", "target") if name in mount)


def fingerprint(fields: Fields) -> str:
    """Twelve digits that stand for all of the fields: what was made carries them."""
    return digest(json.dumps(dict(fields), sort_keys=True))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def is_hidden(field: str) -> bool:
    """Whether the value of a field may be a secret, as its name says: it is shown as changed and not as a value."""
    return field.startswith(_ENVIRONMENT) and is_secret_name(field.removeprefix(_ENVIRONMENT))


def is_secret_name(name: str) -> bool:
    """Whether a variable of this name holds a secret itself, and not the path of its file."""
    return re.search(HIDDEN_WORDS, name, re.IGNORECASE) is not None and not name.upper().endswith("_FILE")
