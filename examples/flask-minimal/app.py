"""A guest book: sign it with a POST, read it with a GET."""

import os
from pathlib import Path
from typing import Any

import psycopg
from flask import Flask, request
from psycopg.rows import dict_row

app = Flask(__name__)


def connect() -> psycopg.Connection[dict[str, Any]]:
    return psycopg.connect(
        host=os.environ["DB_HOST"],
        port=os.environ["DB_PORT"],
        dbname=os.environ["DB_NAME"],
        user=os.environ["DB_USER"],
        password=Path(os.environ["DB_PASSWORD_FILE"]).read_text(encoding="utf-8"),
        row_factory=dict_row,
    )


@app.get("/")
def read() -> list[dict[str, Any]]:
    with connect() as db:
        return db.execute("SELECT name, message, signed_at FROM entry ORDER BY id DESC LIMIT 20").fetchall()


@app.post("/")
def sign() -> tuple[dict[str, Any], int]:
    name, message = request.form.get("name", "").strip(), request.form.get("message", "").strip()
    if not name or not message:
        return {"error": "name and message are required"}, 400
    with connect() as db:
        [entry] = db.execute(
            "INSERT INTO entry (name, message) VALUES (%s, %s) RETURNING name, message, signed_at", (name, message)
        ).fetchall()
    return entry, 201


@app.get("/health")
def health() -> dict[str, str]:
    with connect() as db:
        db.execute("SELECT 1")
    return {"status": "pass"}
