"""The JSON of a manifest. It may be forged: every value is checked."""

from __future__ import annotations

import json
from dataclasses import asdict
from datetime import datetime
from typing import cast, get_args

from stack.fields import Fields
from stack.snapshots import older
from stack.snapshots.checked import MOST, Part
from stack.snapshots.manifest import Content, Manifest, Member, Reason, Saved
from stack.workload import PortId

SCHEMA = 3
_COMPONENT = "[a-z][a-z0-9-]{0,30}"
_FORMAT = r"[a-z][a-z0-9-]{0,30}/[1-9]\d{0,3}"
# The name of a volume, or the path of a folder.
_STORE = r"(?!(?:.*/)?\.\.(?:/|$))[^\x00]{1,4096}"
_ANYTHING = ".*"


def to_json(manifest: Manifest) -> str:
    data = {"schema": SCHEMA, **asdict(manifest), "made": manifest.made.isoformat()}
    for name in ("groups", "host"):
        if not data[name]:
            del data[name]
    return json.dumps(data, indent=2) + "\n"


def from_json(text: str) -> Manifest:
    """Raises `ValueError` for what is no manifest, or one of a newer stackctl."""
    whole = Part.read(text)
    if whole.has("schema") and whole.whole("schema") not in (SCHEMA, *older.SCHEMAS):
        raise ValueError("it was made by another version of stackctl")
    plain = ("name", "stackctl", "stack", "instance", "engine")
    whole.only(("schema", *plain, "reason", "made", "components"), ("ports", "declaration", "groups", "host"))
    schema = whole.whole("schema") if whole.has("schema") else SCHEMA
    component = older.component if schema in older.SCHEMAS else _component
    components = whole.part("components")
    manifest = Manifest(
        **{key: whole.text(key) for key in plain},
        reason=cast("Reason", whole.text("reason", "|".join(get_args(Reason)))),
        made=_moment(whole),
        components={name: component(components.part(name), name) for name in components.names(_COMPONENT)},
        ports=_ports(whole.part("ports")) if whole.has("ports") else {},
        declaration=_declaration(whole.part("declaration")) if whole.has("declaration") else {},
        groups=_groups(whole.part("groups")) if whole.has("groups") else {},
        host=whole.text("host") if whole.has("host") else None,
    )
    if not manifest.components:
        raise ValueError("components: there is none")
    names = [member.name for member in manifest.members]
    if len(set(names)) != len(names):
        raise ValueError("a part of it belongs to two")
    return manifest


def _moment(whole: Part) -> datetime:
    made = datetime.fromisoformat(whole.text("made"))
    if made.tzinfo is None:
        raise ValueError("made: it has no time zone")
    return made


def _ports(ports: Part) -> dict[PortId, int]:
    return {PortId(name): ports.whole(name, 1, 65535) for name in ports.names()}


def _groups(groups: Part) -> dict[str, bool]:
    return {name: groups.flag(name) for name in groups.names()}


def _declaration(components: Part) -> dict[str, Fields]:
    found: dict[str, Fields] = {}
    for name in components.names():
        fields = components.part(name)
        found[name] = {field: fields.text(field, _ANYTHING) for field in fields.names(_ANYTHING)}
    return found


def _component(data: Part, name: str) -> Saved:
    data.only(("format", "version", "volumes", "size", "rows", "contents", "members", "details"))
    volumes = data.part("volumes")
    contents = tuple(map(_content, data.parts("contents")))
    if len({(each.group, each.name) for each in contents}) != len(contents):
        raise ValueError(f"components.{name}.contents: one is there twice")
    return Saved(
        format=data.text("format", _FORMAT),
        version=data.text("version"),
        volumes={volume: volumes.text(volume, _STORE) for volume in volumes.names()},
        size=data.whole("size"),
        rows=data.whole("rows"),
        contents=contents,
        members=tuple(read_member(each, name) for each in data.parts("members")),
        details=data.plain("details"),
    )


def _content(data: Part) -> Content:
    data.only(("group", "name", "rows", "checksum"))
    return Content(
        data.text("group", r"[^\x00]*"),
        data.name("name"),
        data.whole("rows"),
        data.text("checksum", r"-?[0-9a-f]{1,64}"),
    )


def read_member(data: Part, component: str) -> Member:
    """Read a part of a component: it lies in the component's own folder."""
    data.only(("name", "bytes", "sha256"))
    name = data.text("name", rf"{component}/\w[\w.-]{{0,200}}")
    return Member(name, data.whole("bytes", most=MOST), data.text("sha256", "[0-9a-f]{64}"))
