"""Find the containers whose mounted secret is another file than the one on this machine.

A container keeps the file that was there when it started: one that was deleted and written again since reaches it only
when it is recreated.
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
    """Give the components of `running` that see another file. `ask` runs a command in one.

    An image without `sha256sum` can't tell; what its owner sees then stands for what it sees.
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
    """Whether a component sees what the file of a secret holds; None if it can't tell."""
    answer = ask(name, ["sha256sum", f"/run/secrets/{secret.id}"])
    if not answer.ok:
        return None
    value = State(instance.state).secret(secret.id).reveal()
    return answer.stdout.split(maxsplit=1)[0] == hashlib.sha256(value.encode()).hexdigest()
