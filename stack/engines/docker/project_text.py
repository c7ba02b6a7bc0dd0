"""Write and read the text of a Compose file. It is apart because what observes an instance needs no YAML."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

import yaml


class _Dumper(yaml.SafeDumper):
    """Indent the entries of a list, and never write an anchor for a repeated value."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        return True


# Docker reads YAML 1.2: to it `12e5`, `0o17` and `1_0` are numbers, and to some versions `y` is a truth.
_Dumper.add_implicit_resolver(
    "tag:yaml.org,2002:float",
    re.compile(
        r"(?:[-+]?(?:[0-9][0-9_]*\.?[0-9_]*|\.[0-9][0-9_]*)(?:[eE][-+]?[0-9_]+)?|[-+]?0[ob][0-9_]+|[yYnN])$", re.ASCII
    ),
    [*"-+.0123456789yYnN"],
)


def write_project(project: Mapping[str, Any]) -> str:
    text: str = yaml.dump(
        dict(project), Dumper=_Dumper, sort_keys=False, allow_unicode=True, width=110, default_flow_style=False
    )
    return text


def read_project(text: str) -> Mapping[str, Any]:
    # The one in C is ten times as fast, and not everywhere.
    loader = getattr(yaml, "CSafeLoader", yaml.SafeLoader)
    project: Mapping[str, Any] = yaml.load(text, Loader=loader)  # noqa: S506 - both are safe
    return project


def read_services(text: str) -> Mapping[str, Mapping[str, Any]]:
    services: Mapping[str, Mapping[str, Any]] = read_project(text)["services"]
    return services
