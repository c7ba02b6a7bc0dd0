"""A file of SQL is split where PostgreSQL splits it, whatever it is cut into, and what is none of SQL's is refused."""

from __future__ import annotations

import pytest

from stack.components.postgres.statements import Refused, pieces


def statements(text: str, size: int = 10**6) -> list[str]:
    """Split a file that comes in chunks of so many bytes."""
    raw, before = text.encode(), ""
    found: list[bytes] = []
    for piece in pieces(raw[at : at + size] for at in range(0, len(raw), size)):
        if piece.kind == "begin":
            found.append(b"")
        elif piece.kind in ("text", "data"):
            found[-1] += (b"|" if piece.kind == "data" != before else b"") + piece.text
        before = piece.kind
    return [each.decode() for each in found]


WHOLE = {
    "no semicolon at the end": ("SELECT 1; SELECT 2", ["SELECT 1", "SELECT 2"]),
    "nothing but comments": ("-- one\n/* two /* three */ ; */\n;;\n", []),
    "a comment in a statement": ("SELECT 1 -- ;\n+ 1;", ["SELECT 1 -- ;\n+ 1"]),
    "a byte order mark": ("\ufeffSELECT 1;", ["SELECT 1"]),
    "quotes": ("""SELECT 'a;''b', "c;""d", E'e\\';', $$f;$$, $x$g;$$;$x$;""", None),
    "an E string that goes on": ("SELECT E'a\\''\n  'b\\';';SELECT 2", ["SELECT E'a\\''\n  'b\\';'", "SELECT 2"]),
    "a backslash in quotes": ("SELECT '\\! touch x', '\\';", ["SELECT '\\! touch x', '\\'"]),
    "parentheses": ("CREATE RULE r AS ON INSERT TO t DO (SELECT 1; SELECT 2);", None),
    "a body of SQL": (
        "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END; SELECT 3",
        [
            "CREATE FUNCTION f() RETURNS int BEGIN ATOMIC SELECT CASE WHEN true THEN 1 END; SELECT 2; END",
            "SELECT 3",
        ],
    ),
    "a body in quotes": ("DO $$ BEGIN PERFORM 1; END $$;", ["DO $$ BEGIN PERFORM 1; END $$"]),
    "the data of a copy": ("COPY t FROM stdin;\n\\N\t\\\\.\n; COMMIT;\n\\.\nSELECT 1;", None),
    "a copy of odd names": ('COPY "s;"."t(""" (a, "b)") FROM STDIN (FORMAT csv);\n\\x\n\\.\n', None),
    "savepoints": ("SAVEPOINT a; ROLLBACK TO a; ROLLBACK WORK TO SAVEPOINT a; RELEASE a", None),
    "prepared statements": ("PREPARE transaction_one AS SELECT 1; EXECUTE transaction_one", None),
    "what pg_dump writes around": ("\\restrict aB1\n\nSELECT 1;\n\\unrestrict aB1\n", ["SELECT 1"]),
}


@pytest.mark.parametrize("case", WHOLE)
def test_a_file_is_split_the_same_however_it_is_cut(case: str) -> None:
    text, expected = WHOLE[case]
    whole = statements(text)
    if expected is not None:
        assert whole == expected
    assert all(statements(text, size) == whole for size in range(1, len(text.encode())))


def test_the_data_of_a_copy_is_handed_on_as_it_is() -> None:
    assert statements(WHOLE["the data of a copy"][0]) == [
        "COPY t FROM stdin|\\N\t\\\\.\n; COMMIT;\n\\.\n",
        "SELECT 1",
    ]
    assert statements(WHOLE["a copy of odd names"][0])[0].endswith("|\\x\n\\.\n")


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("SELECT 1;\n\\! touch x\n", r"line 2: \!: psql commands"),
        ("SELECT 1 \\g |touch x\n", r"line 1: \g: psql commands"),
        ("-- a\r\\! touch x\n", r"line 1: \!: psql commands"),
        ("\\connect postgres\n", r"line 1: \connect: psql commands"),
        ("\\set ON_ERROR_STOP off\n", r"line 1: \set: psql commands"),
        ("COPY (SELECT 1 FROM stdin) TO stdout;\n\\! touch x\n", r"line 2: \!: psql commands"),
        ("SELECT 1;\n\nBEGIN;", "line 3: BEGIN: the whole file is one transaction already"),
        ("start /* a */ transaction", "line 1: START TRANSACTION: the"),
        ("SELECT 1;\n -- x\n commit and chain;", "line 3: COMMIT: the whole file"),
        ("END;", "line 1: END: the whole file"),
        ("abort;", "line 1: ABORT: the whole file"),
        ("SELECT 1; rollback", "line 1: ROLLBACK: the whole file"),
        ("ROLLBACK AND CHAIN;", "line 1: ROLLBACK AND CHAIN: the whole file"),
        ("PREPARE TRANSACTION 'x';", "line 1: PREPARE TRANSACTION: the"),
        ("set standard_conforming_strings to OFF;", "line 1: SET standard_conforming_strings = off: files"),
        ("SELECT 'never", "line 1: a statement: the file ends"),
        ("SELECT $a$ $b$", "line 1: a statement: the file ends"),
        ("SELECT (1;", "line 1: a statement: the file ends"),
        ("/* never", "line 1: a statement: the file ends"),
        ("COPY t FROM stdin;\n1\n2", "line 1: a statement: the file ends"),
        ("COPY t FROM stdin; SELECT 1;\n", "line 1: COPY: its data must begin on the next line"),
        ("SELECT 1;\nSELECT '\0';", "line 2: a NUL byte"),
    ],
)
def test_what_is_none_of_it_is_refused_with_its_line(text: str, problem: str) -> None:
    with pytest.raises(Refused) as refused:
        statements(text)
    assert str(refused.value).startswith(problem)
