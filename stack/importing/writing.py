"""Put the parts of a stack file together: imports, parameters, volumes, one component a block, the stack. Pure."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from stack.frozen import dataclass
from stack.importing.parameters import Declared
from stack.importing.places import SharedVolume
from stack.importing.source import WIDTH, Call, assigned

OPEN = "OPEN"
MEMORY = 4096
# What Compose gives each container: the user of its image, and Docker's default capabilities.
OPENNESS: Mapping[str, object] = {
    "user": "image",
    "writable": True,
    "capabilities": [
        "CHOWN", "DAC_OVERRIDE", "FOWNER", "FSETID", "KILL", "NET_BIND_SERVICE", "SETFCAP", "SETGID", "SETPCAP",
        "SETUID",
    ],
    "memory": MEMORY,
    "init": False,
}  # fmt: skip


@dataclass(frozen=True)
class Block:
    """A component of the stack file: the call, and the comment above it."""

    service: str
    variable: str
    call: Call
    comment: str = ""


def stack_file(
    title: str,
    parameters: Sequence[Declared],
    volumes: Sequence[SharedVolume],
    components: Sequence[Block],
    stack: Call,
    why: str,
) -> str:
    """Return the text of a stack file. `why`: the comment above the stack."""
    is_open = any(each.call.more or "capabilities" in each.call.named for each in components)
    lines = [f'"""{title}"""\n\n']
    if is_open:
        lines.append("from typing import Any\n\n")
    lines.append(f"from stack import {_imported(parameters, volumes, components)}\n")
    if is_open:
        lines += [
            "\n# What Compose gives a container: the user of its image, a root file system that it can write to,\n",
            "# and Docker's capabilities. Take away what a program does not need.\n",
            assigned(f"{OPEN}: dict[str, Any]", OPENNESS) + "\n",
        ]
    lines += ["\n"] if parameters else []
    lines += [_with_comment(assigned(each.variable, each.call), each.reason) for each in parameters]
    lines += ["\n"] if volumes else []
    lines += [f"{assigned(each.variable, each.call)}\n" for each in volumes]
    lines += [f"\n{_above(each.comment)}{assigned(each.variable, each.call)}\n" for each in components]
    lines.append(f"\n{_above(why)}{assigned('stack', stack)}\n")
    return "".join(lines)


def _imported(parameters: Sequence[Declared], volumes: Sequence[SharedVolume], components: Sequence[Block]) -> str:
    kinds = {each.call.function for each in components} | {"Stack"}
    kinds |= {"Parameter"} if parameters else set()
    kinds |= {"Volume"} if volumes else set()
    healths = any("health" in each.call.named for each in components)
    return ", ".join([*sorted(kinds), *(["health"] if healths else [])])


def _with_comment(line: str, comment: str) -> str:
    if not comment:
        return f"{line}\n"
    beside = f"{line}  # {comment}"
    return f"{beside}\n" if "\n" not in line and len(beside) <= WIDTH else f"# {comment}\n{line}\n"


def _above(comment: str) -> str:
    lines: list[str] = []
    for word in comment.split():
        if lines and len(lines[-1]) + len(word) + 3 < WIDTH:
            lines[-1] += f" {word}"
        else:
            lines.append(word)
    return "".join(f"# {line}\n" for line in lines)
