"""Find the containers that mount an outdated secret file.

A container keeps the file that existed when it started. A file that was deleted and written again since then reaches
the container only when it is recreated.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Sequence

from stack.capabilities import Completed
from stack.instance import Instance
from stack.observed import ComponentState, Observed
from stack.references import SecretReference
from stack.state import State

Ask = Callable[[str, ComponentState, list[str]], Completed]


def stale(instance: Instance, observed: Observed, ask: Ask) -> frozenset[str]:
    """Return the components of which a running container mounts an outdated secret. `ask` runs a command in one.

    For an image without `sha256sum`, the component that owns the secret answers instead.
    """
    running = {
        name: [replica for replica in state.each if replica.running]
        for name, state in observed.components.items()
        if name in instance.stack.names
    }
    seen = {
        (name, secret): _same(instance, name, replicas, secret, ask)
        for name, replicas in running.items()
        for secret in instance.stack.workload(name, "container").secrets
        if replicas
    }

    def is_stale(name: str, secret: SecretReference) -> bool:
        same = seen[name, secret]
        return (seen.get((secret.component, secret)) if same is None else same) is False

    return frozenset(name for name, secret in seen if is_stale(name, secret))


def _same(
    instance: Instance, name: str, replicas: Sequence[ComponentState], secret: SecretReference, ask: Ask
) -> bool | None:
    """Compare a secret's file with what each replica mounts; None if the image has no `sha256sum`."""
    answers = [ask(name, each, ["sha256sum", f"/run/secrets/{secret.id}"]) for each in replicas]
    found = {answer.stdout.split(maxsplit=1)[0] for answer in answers if answer.ok}
    wanted = hashlib.sha256(State(instance.state).secret(secret.id).reveal().encode()).hexdigest()
    return found == {wanted} if found else None
