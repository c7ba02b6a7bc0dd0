"""A log line is one JSON object, whatever is in it."""

from __future__ import annotations

import json
import logging
import sys

from service.observability import JsonFormatter


def test_a_record_is_one_line_with_its_arguments_filled_in() -> None:
    record = logging.LogRecord("a.logger", logging.WARNING, "file.py", 1, "the %s\nis away", ("café",), None)
    line = JsonFormatter().format(record)
    assert "\n" not in line
    written = json.loads(line)
    assert written.keys() == {"time", "level", "logger", "process", "message"}
    assert (written["level"], written["logger"], written["message"]) == ("warning", "a.logger", "the café\nis away")


def test_a_traceback_is_a_member_of_the_same_line() -> None:
    try:
        raise LookupError("what")
    except LookupError:
        record = logging.LogRecord("a", logging.ERROR, "file.py", 1, "failed", None, sys.exc_info())
    line = JsonFormatter().format(record)
    assert "\n" not in line
    assert json.loads(line)["traceback"].endswith("LookupError: what")
