"""Read the manifests of earlier versions, which knew PostgreSQL alone, as those of today.

Schema 1 is without what belongs to a database and not to its contents, and has the first kind of checksums.
"""

from __future__ import annotations

from stack.snapshots.checked import MOST, Part
from stack.snapshots.manifest import Content, Member, Saved

SCHEMAS = (1, 2)


def component(data: Part, name: str) -> Saved:
    """Raises `ValueError`, here or, for what is PostgreSQL's own, when that reads the details."""
    data.only(
        ("version", "user", "database", "store", "roles", "databases"), ("admin", "settings", "system", "checksums")
    )
    databases = list(data.parts("databases"))
    for each in databases:
        each.only(("name", "encoding", "size", "dump", "tables"), ("properties",))
    contents = tuple(content for each in databases for content in _contents(each))
    members = tuple(_member(part, name) for part in (data.part("roles"), *(each.part("dump") for each in databases)))
    plain = data.plain()
    return Saved(
        format="postgres/1",
        version=data.text("version"),
        volumes={"": data.text("store", r"(?!(?:.*/)?\.\.(?:/|$))[^\x00]{1,4096}")},
        size=sum(each.whole("size") for each in databases),
        rows=sum(each.rows for each in contents if not each.name.startswith("stackctl.")),
        contents=contents,
        members=members,
        details={
            "user": plain["user"],
            "database": plain["database"],
            "admin": plain.get("admin"),
            "settings": plain.get("settings", []),
            "system": plain.get("system", {}),
            "checksums": plain.get("checksums", 1),
            "roles": members[0].name,
            "databases": [
                {
                    **{key: each.plain()[key] for key in ("name", "encoding", "size")},
                    "dump": member.name,
                    "properties": each.plain().get("properties"),
                }
                for each, member in zip(databases, members[1:], strict=True)
            ],
        },
    )


def _contents(database: Part) -> list[Content]:
    group, found = database.name("name", 255), []
    for table in database.parts("tables"):
        table.only(("name", "rows", "checksum"))
        found.append(Content(group, table.name("name"), table.whole("rows"), table.text("checksum", r"-?\d{1,40}")))
    if len({each.name for each in found}) != len(found):
        raise ValueError("tables: one is there twice")
    return found


def _member(data: Part, component: str) -> Member:
    data.only(("name", "bytes", "sha256"))
    name = data.text("name", rf"{component}/(?:roles\.sql|[1-9]\d{{0,4}}\.dump\.zst)")
    return Member(name, data.whole("bytes", most=MOST), data.text("sha256", "[0-9a-f]{64}"))
