"""A visit counter as one writes it first: Flask, psycopg2, a connection a thread, and an upsert a request."""

from __future__ import annotations

import os
import threading
from pathlib import Path
from typing import Any

import psycopg2
from flask import Flask, Response, jsonify

_VISIT = """
    INSERT INTO plain_counter (page, visits) VALUES ('homepage', 1)
    ON CONFLICT (page) DO UPDATE SET visits = plain_counter.visits + 1 RETURNING visits
"""

app = Flask(__name__)
_own = threading.local()


def connection() -> Any:
    """That of this thread, which commits every statement."""
    if not hasattr(_own, "connection"):
        _own.connection = psycopg2.connect(
            host=os.environ["DB_HOST"],
            port=os.environ["DB_PORT"],
            dbname=os.environ["DB_NAME"],
            user=os.environ["DB_USER"],
            password=Path(os.environ["DB_PASSWORD_FILE"]).read_text(encoding="utf-8").strip(),
        )
        _own.connection.autocommit = True
    return _own.connection


@app.get("/")
def visit() -> Response:
    with connection().cursor() as cursor:
        cursor.execute(_VISIT)
        return jsonify(page="homepage", visits=cursor.fetchone()[0])


@app.get("/health")
def health() -> Response:
    return jsonify(status="pass")
