"""Find what refuses a plan: data that does not fit what is declared. Nothing is started then."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from stack.applied import Applied
from stack.errors import StackError
from stack.fields import Fields
from stack.workflow.identities import data_version, origin
from stack.workflow.opened import Opened


def find_blocker(opened: Opened, applied: Applied, identities: Mapping[str, Fields]) -> StackError | None:
    """Return why what is declared for a database that has data, or its password, does not fit that data.

    `identities`: how the data of each would be made now.
    """
    for name, now in identities.items():
        made = origin(opened, applied, name)
        component = opened.instance.stack[name]
        secret = opened.instance.secret_file(component.login.secret.id) if component.login else Path()
        if not now["password"]:
            return _secret_lost(name, secret)
        if made is None:
            continue
        if made["password"] != now["password"]:
            return _password_differs(name, secret)
        version = data_version(opened, applied, name)
        if component.data and version is not None and str(version) != now["version"]:
            return version_differs(name, component.data.product, version, now["version"])
        for field in component.data.identity() if component.data else ():
            if made[field] != now[field]:
                return _identity_differs(name, field, made[field], now[field])
    return None


def version_differs(component: str, product: str, made: int, now: str) -> StackError:
    """Return the error for data of another major version than `now`. Data goes to a newer one only."""
    hint = f"declare version={made} again"
    if made < int(now):
        hint = f"`stackctl upgrade {component} --to {now}` takes it along; or {hint}"
    else:
        hint += f"; no command takes data back to {now}"
    return StackError(
        "data-version",
        f"the data of {component} is of {product} {made}, and {now} is what would run; nothing was touched",
        hint,
    )


def _secret_lost(component: str, file: Path) -> StackError:
    return StackError(
        "secret-lost",
        f"there is data of {component} from an earlier `up`, but its password is gone: {file}",
        f"put the file back; or give the data a new password with `stackctl rotate {component}`",
    )


def _password_differs(component: str, file: Path) -> StackError:
    return StackError(
        "password-mismatch",
        f"the password in {file} is not the one that the data of {component} has",
        f"put the file back; or give the data a new password with `stackctl rotate {component}`",
    )


def _identity_differs(component: str, field: str, made: str, now: str) -> StackError:
    return StackError(
        "data-differs",
        f"the data of {component} was made for the {field} {made!r}, and {now!r} is declared; nothing was changed",
        f"declare {made!r} again, or make {now!r} yourself with `stackctl exec {component} -- psql`; "
        "to start over without the data, `stackctl reset`",
    )
