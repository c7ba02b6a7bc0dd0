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
# The system user, as prose and as a value.
USER_NOBODY = re.compile(r"`nobody`|^nobody$", re.MULTILINE)
# Files and directories that still have such words. The list only shrinks: remove what is done.
NOT_YET_DONE = frozenset[str]()


def written(path: Path) -> str:
    """Return the text of a file that people read: comments and strings of Python, all of other files."""
    text = path.read_text(encoding="utf-8")
    return "\n".join(_texts(text)) if path.suffix == ".py" else text


def _texts(source: str) -> Iterator[str]:
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.string
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str):
            yield node.value


def product() -> list[Path]:
    code = [ROOT / "stackctl.py", *(ROOT / "stack").rglob("*.py"), *(ROOT / "service").rglob("*.py")]
    return [*code, *(ROOT / "docs").glob("*.py"), ROOT / "README.md", ROOT / "CHANGELOG.md", ROOT / "Makefile"]


def found() -> dict[str, list[str]]:
    """Return the banned words of each file that has any."""
    words = {path: BANNED.findall(USER_NOBODY.sub("", written(path))) for path in product()}
    return {str(path.relative_to(ROOT)): each for path, each in words.items() if each}


def test_product_text_has_no_persons_for_processes() -> None:
    new = {name: words for name, words in found().items() if not name.startswith(tuple(NOT_YET_DONE))}
    assert not new, f"name the process or component instead: {new}"


def test_the_list_of_files_not_yet_done_shrinks() -> None:
    names = tuple(found())
    done = [each for each in NOT_YET_DONE if not any(name.startswith(each) for name in names)]
    assert not done, f"these need no exception any more: {sorted(done)}"
