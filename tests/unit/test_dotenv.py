"""A file `.env` is read as Docker Compose reads it; tests/docker/test_dotenv.py lets Compose read the same lines."""

from __future__ import annotations

import pytest

from stack.dotenv import Malformed, parse

# The line, and the value of A. In each file B is `bee`; the environment has E, and an empty M.
READ = {
    "A=b": "b",
    "  A = b  ": "b",
    "export A=b": "b",
    "export\tA: b": "b",
    "A:b": "b",
    "A==b": "=b",
    "A=a b": "a b",
    "A=a=b": "a=b",
    "A=é✓": "é✓",
    "A=b\r": "b",
    "A=1\nA=2": "2",
    "# c\n\n  # d\nA=b": "b",
    # Comments begin after a space.
    "A=b # c 'd": "b",
    "A=a#b": "a#b",
    "A=a\t#b": "a\t#b",
    "A=#b": "#b",
    "A= # b": "# b",
    "A='b # c' # d": "b # c",
    # Nothing is something, too.
    "A=": "",
    "A=''": "",
    'A="" # c': "",
    # Single quotes keep all but an escaped quote.
    "A='$B ${B} $$ \\n \\\\'": "$B ${B} $$ \\n \\\\",
    "A='it\\'s'": "it's",
    "A='two\nlines'": "two\nlines",
    "A=b'c'": "b'c'",
    # Double quotes know escapes and variables.
    'A="a\\nb\\t\\"c\\" \\\\ \\z"': 'a\nb\t"c" \\ \\z',
    'A="$B \\$B \\\\$B $$B"': "bee $B \\bee $B",
    'A="two\nlines"': "two\nlines",
    # Without quotes a backslash is one, and variables are known.
    "A=a\\nb": "a\\nb",
    "A=$B-${B}x-$N-$E": "bee-beex--of the environment",
    "A=$$B $$ 5$ $1 $.": "$B $ 5$ $1 $.",
    "A=$(ls) `ls`": "$(ls) `ls`",
    "A=${N:-d e}": "d e",
    "A=${M:-d}${M-e}": "d",
    "A=${N:+d}${B:+e}${M:+f}${M+g}": "eg",
    "A=${B:?needed}": "bee",
    "A=${N:-${M:-$B}}z": "beez",
    'A="${N:-a \\"b\\"}"': 'a "b"',
    "A=${N:-{a}}": "{a}",
    'A={"a": "$B"}': '{"a": "bee"}',
    "E=of the file\nA=$E": "of the environment",
    # What follows a quotation is read like a line.
    "C='b' A=c": "c",
    "A='b'c": "b",
    # Names that only Compose takes do no harm.
    "a.B[0]-é=1\nA=2": "2",
    "1A=1\nA=2": "2",
}
MALFORMED = {
    "C=b\nno such line": (3, "is not NAME=VALUE"),
    "\n\nA@=b": (4, "is not NAME=VALUE"),
    "A+=b": (2, "is not NAME=VALUE"),
    'A="b': (2, "begins a quotation that does not end"),
    "A='b\\'": (2, "begins a quotation that does not end"),
    "A='b'\\": (2, "is not NAME=VALUE"),
    "A='two\nlines'\nB=${A": (4, "begins a ${…} that does not end"),
    "A=${}": (2, "holds a ${…} that can't be read"),
    "A=${B/e/x}": (2, "holds a ${…} that can't be read"),
    "A=${N:?}": (2, "needs N, which has no value"),
    "A=${M:?}": (2, "needs M, which has no value"),
    "A=${N:-${Q?no}}": (2, "needs Q, which has no value"),
}
ENVIRONMENT = {"E": "of the environment", "M": ""}


@pytest.mark.parametrize(("text", "value"), READ.items())
def test_a_value_is_read_as_the_table_says(text: str, value: str) -> None:
    assert parse(f"B=bee\n{text}\n", ENVIRONMENT)["A"].value == value
    assert parse(f"\ufeffB=bee\n{text}", ENVIRONMENT)["A"].value == value


@pytest.mark.parametrize(("text", "problem"), MALFORMED.items())
def test_a_malformed_line_has_its_number(text: str, problem: tuple[int, str]) -> None:
    with pytest.raises(Malformed) as raised:
        parse(f"B=bee\n{text}\n", ENVIRONMENT)
    assert (raised.value.line, raised.value.problem) == problem


def test_a_name_alone_is_that_of_the_environment() -> None:
    assert parse("A\nexport B\n", {}) == {}
