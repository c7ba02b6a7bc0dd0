"""Say when work that waits for a component may be lost, because nothing that it uses keeps it. Pure."""

from __future__ import annotations

from stack.model import Stack


def forgetful_queues(stack: Stack) -> tuple[str, ...]:
    """Name each component that takes its work from others and has for it only a store that forgets.

    Its databases do not count: beside one, work rarely waits in it.
    """
    notices = []
    for component in stack:
        used = [stack[name] for name in component.needs if stack[name].schema is None]
        if component.takes_work and used and all(each.forgets for each in used):
            names = " or ".join(each.name for each in used)
            notices.append(
                f"{component.name}: work that waits for it in {names} is lost when that is full or starts again; for a "
                f"queue declare {used[0].forgets}"
            )
    return tuple(notices)
