"""The page that a browser gets: the count, and the path that this very request took."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from flask import render_template

from .store import Answer, Result


@dataclass(frozen=True)
class Leg:
    """From the app to one server: `used`, `asked` (it had nothing), `failed` or `idle`, and a word beside the line."""

    state: str
    word: str = ""

    @property
    def health(self) -> str:
        """What it says of the server, as /health would."""
        return {"used": "pass", "asked": "pass", "failed": "fail"}.get(self.state, "unknown")


@dataclass(frozen=True)
class Path:
    """Where the count came from, the two legs, and all of it in words."""

    source: str
    cache: Leg
    database: Leg
    text: str

    @property
    def health(self) -> str:
        """What it says of the app: without PostgreSQL it answers and counts nothing."""
        return "warn" if self.database.state == "failed" else "pass"


_CACHE = {
    Result.HIT: (Leg("used", "hit"), "Redis had the count"),
    Result.MISS: (Leg("asked", "miss"), "Redis did not have the count; PostgreSQL gave it"),
    Result.ERROR: (Leg("failed", "no answer"), "Redis did not answer; PostgreSQL gave the count"),
    Result.BYPASS: (Leg("failed", "not asked"), "Redis just failed and was not asked; PostgreSQL gave the count"),
}


def page(answer: Answer, *, counted: bool) -> str:
    """The page of an answer. Not `counted`: it was only read, as a browser does ahead of its user."""
    said = f"Yours is number {answer.visits:,}, committed in PostgreSQL." if counted else "This look was not counted."
    trouble = "PostgreSQL cannot be asked: the number may be behind." if answer.stale else ""
    return _render(answer.visits, _path(answer, counted), said, trouble)


def problem_page(problem: Mapping[str, object]) -> str:
    """The page of a visit that was refused, or whose outcome is not known: `problem` has the members of RFC 9457."""
    known = problem.get("last_known")
    cache, redis = (Leg("idle"), "could not tell") if known is None else (Leg("used", "hit"), "had a copy of")
    path = Path("none", cache, Leg("failed", "no answer"), f"PostgreSQL did not answer; Redis {redis} the count.")
    return _render(known, path, "", f"{problem['title']}. {problem['detail']}")


def _path(answer: Answer, counted: bool) -> Path:
    if answer.stale:
        text = "Redis had a copy of the count; PostgreSQL did not answer."
        return Path("cache", Leg("used", "hit"), Leg("failed", "no answer"), text)
    cache, text = _CACHE[answer.result]
    if answer.result is Result.HIT and answer.source == "database":
        cache, text = Leg("asked", "old"), "Redis had an old count; PostgreSQL gave it"
    if counted:
        return Path(answer.source, cache, Leg("used", "commit"), f"{text}. The visit was committed in PostgreSQL.")
    return Path(answer.source, cache, Leg("used", "read") if answer.source == "database" else Leg("idle"), f"{text}.")


def _render(visits: object, path: Path, said: str, trouble: str) -> str:
    return render_template("page.html", visits=visits, path=path, said=said, trouble=trouble, old=bool(trouble))
