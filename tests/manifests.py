"""Write the manifest of a snapshot as an earlier version did."""

from __future__ import annotations

from typing import Any


def older(manifest: dict[str, Any], schema: int) -> dict[str, Any]:
    """Give the JSON of a manifest of PostgreSQL in schema 1 or 2."""
    return {
        **manifest,
        "schema": schema,
        "components": {name: _component(each, schema) for name, each in manifest["components"].items()},
    }


def _component(saved: dict[str, Any], schema: int) -> dict[str, Any]:
    details, members = saved["details"], {member["name"]: member for member in saved["members"]}
    component = {
        "version": saved["version"],
        "store": saved["volumes"][""],
        "user": details["user"],
        "database": details["database"],
        "roles": members[details["roles"]],
        "databases": [
            {
                "name": each["name"],
                "encoding": each["encoding"],
                "size": each["size"],
                "dump": members[each["dump"]],
                "tables": [
                    {"name": table["name"], "rows": table["rows"], "checksum": table["checksum"]}
                    for table in saved["contents"]
                    if table["group"] == each["name"]
                ],
                **({"properties": each["properties"]} if schema > 1 else {}),
            }
            for each in details["databases"]
        ],
    }
    later = {key: details[key] for key in ("admin", "settings", "system", "checksums")}
    return component | later if schema > 1 else component
