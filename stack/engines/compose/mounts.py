"""Find the containers that mount an outdated secret file.

A container keeps the file that existed when it started. A file that was deleted and written again since then reaches
the container only when it is recreated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable

from stack.capabilities import Completed
from stack.instance import Instance
from stack.references import SecretReference
from stack.state import State

Ask = Callable[[str, list[str]], Completed]


def stale(instance: Instance, running: Iterable[str], ask: Ask) -> frozenset[str]:
    """Return the components of `running` that mount an outdated secret. `ask` runs a command in a component.

    For an image without `sha256sum`, the component that owns the secret answers instead.
    """
    mounted = {
        name: instance.stack.workload(name, "container").secrets for name in running if name in instance.stack.names
    }
    seen = {(name, each): _same(instance, name, each, ask) for name, secrets in mounted.items() for each in secrets}

    def is_stale(name: str, secret: SecretReference) -> bool:
        same = seen[name, secret]
        return (seen.get((secret.component, secret)) if same is None else same) is False

    return frozenset(name for name, secret in seen if is_stale(name, secret))


def _same(instance: Instance, name: str, secret: SecretReference, ask: Ask) -> bool | None:
    """Compare a secret's file with what a component mounts; None if its image has no `sha256sum`."""
    answer = ask(name, ["sha256sum", f"/run/secrets/{secret.id}"])
    if not answer.ok:
        return None
    value = State(instance.state).secret(secret.id).reveal()
    return answer.stdout.split(maxsplit=1)[0] == hashlib.sha256(value.encode()).hexdigest()
