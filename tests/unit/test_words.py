"""Product text is plain engineering English: no persons for processes, and "recreate" for what is made again."""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from tests.cli import ROOT

# Write the name of the process or component instead, or "recreate".
BANNED = re.compile(r"\b(?:whoever|(?:no|some|any|every)body|anew|who (?:is|was) (?:killed|ended))\b", re.IGNORECASE)
# In the source of each such text, whatever else stands between the words.
SUSPECT = re.compile(r"\bwho(?:ever)?\b|body\b|anew", re.IGNORECASE)
# The system user, as prose and as a value.
USER_NOBODY = re.compile(r"`nobody`|^nobody$", re.MULTILINE)
TEST = re.compile(r"^ *(?:async )?def (test_\w+)", re.MULTILINE)
LONGEST_NAME = 70


def written(path: Path) -> str:
    """Return the text of a file that people read: comments and strings of Python, all of other files."""
    text = path.read_text(encoding="utf-8")
    return "\n".join(_texts(text)) if path.suffix == ".py" and SUSPECT.search(text) else text


def _texts(source: str) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def product() -> list[Path]:
    code = [ROOT / "stackctl.py", *(ROOT / "stack").rglob("*.py"), *(ROOT / "service").rglob("*.py")]
    pages = [*ROOT.glob("*.md"), *(ROOT / "docs").glob("*.md")]
    return [*code, *(ROOT / "docs").glob("*.py"), *pages, ROOT / "Makefile"]


def found() -> dict[str, list[str]]:
    """Return the banned words of each file that has any."""
    words = {path: BANNED.findall(USER_NOBODY.sub("", written(path))) for path in product()}
    return {str(path.relative_to(ROOT)): each for path, each in words.items() if each}


def test_product_text_has_no_persons_for_processes() -> None:
    assert not found(), f"name the process or component instead: {found()}"


def test_the_name_of_a_test_is_short_enough_to_read() -> None:
    names = [name for file in (ROOT / "tests").rglob("*.py") for name in TEST.findall(file.read_text(encoding="utf-8"))]
    assert not [name for name in names if len(name) >= LONGEST_NAME], "state the behaviour in fewer words"
    assert not [name for name in names if BANNED.search(name.replace("_", " "))], (
        "name the process or component instead"
    )
