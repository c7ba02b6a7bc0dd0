"""The declaration of a component as flat text, name by name: what a plan compares and shows."""

from __future__ import annotations

import hashlib
import json
import shlex
from collections.abc import Mapping, Sequence

Fields = Mapping[str, str]
"""By name, like `environment.CACHE_TTL` or `mem_limit`; a field that is not there is not declared."""

_HIDDEN = ("PASSWORD", "SECRET", "TOKEN", "KEY", "CREDENTIAL")


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


def fingerprint(fields: Fields) -> str:
    """Twelve digits that stand for all of the fields: what was made carries them."""
    return digest(json.dumps(dict(fields), sort_keys=True))


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:12]


def is_hidden(field: str) -> bool:
    """Whether the value of a field may be a secret, as its name says: it is shown as changed and not as a value."""
    name = field.rpartition(".")[2].upper()
    return field.startswith("environment.") and not name.endswith("_FILE") and any(word in name for word in _HIDDEN)
