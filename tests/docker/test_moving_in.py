"""A project of Docker Compose is converted, started, and answers as before."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.cli import ROOT, Cli, eventually
from tests.project import make_project

COMPOSE = """\
x-app: &app
  build: .
  environment: &environment
    DATABASE_URL: postgresql://notes:${DB_PASSWORD:-hush}@db:5432/notes
    REDIS_URL: redis://queue:6379/0
    SECRET_KEY: not-so-secret
    GREETING: ${GREETING:-hello}
  depends_on:
    db: {condition: service_healthy}
    queue: {condition: service_started}
    migrate: {condition: service_completed_successfully}
services:
  web:
    <<: *app
    command: gunicorn --bind 0.0.0.0:8000 --no-control-socket app:app
    ports: ["23890:8000"]
    volumes: ["./motd.txt:/etc/motd.txt:ro", "uploads:/srv/uploads"]
  worker:
    <<: *app
    command: python3 worker.py
    volumes: ["uploads:/srv/uploads"]
  migrate:
    build: .
    command: ["python3", "migrate.py"]
    environment: *environment
    depends_on: {db: {condition: service_healthy}}
  db:
    image: postgres:18
    environment: {POSTGRES_USER: notes, POSTGRES_PASSWORD: "${DB_PASSWORD:-hush}"}
    volumes: ["pgdata:/var/lib/postgresql"]
    healthcheck: {test: pg_isready -U notes}
  queue:
    image: redis:8
volumes: {pgdata: {}, uploads: {}}
"""
QUEUE = """\
import os, socket, urllib.parse

def ask(*words):
    url = urllib.parse.urlsplit(os.environ["REDIS_URL"])
    with socket.create_connection((url.hostname, url.port)) as connection, connection.makefile("rb") as answers:
        connection.sendall(b"".join(b"%s\\r\\n" % word.encode() for word in [" ".join(words)]))
        first = answers.readline().strip()
        return answers.readline().strip().decode() if first.startswith(b"$") and first != b"$-1" else ""
"""
FILES = {
    "compose.yaml": COMPOSE,
    "motd.txt": "well met",
    ".env": "GREETING=welcome\n",
    "Dockerfile": """\
FROM python:3.14-slim
WORKDIR /app
COPY requirements.txt .
RUN pip install --no-cache-dir -r requirements.txt
COPY . .
CMD ["false"]
""",
    "queue_.py": QUEUE,
    "app.py": """\
import os, pathlib, psycopg
from flask import Flask
from queue_ import ask

app = Flask(__name__)

@app.get("/")
def page():
    with psycopg.connect(os.environ["DATABASE_URL"]) as db:
        [(count,)] = db.execute("SELECT count(*) FROM note").fetchall()
    # The root file system can be written to, as in Compose.
    pathlib.Path("/app/visited").touch()
    uploads = sorted(path.name for path in pathlib.Path("/srv/uploads").iterdir())
    return {"notes": count, "greeting": os.environ["GREETING"], "motd": pathlib.Path("/etc/motd.txt").read_text(),
            "secret": os.environ["SECRET_KEY"] != "not-so-secret", "uploads": uploads, "user": os.getuid()}

@app.get("/upload")
def upload():
    ask("LPUSH", "work", "picture")
    return {}
""",
    "worker.py": """\
import pathlib, time
from queue_ import ask

while True:
    name = ask("RPOP", "work")
    if name:
        pathlib.Path("/srv/uploads", name).touch()
    time.sleep(0.1)
""",
    "migrate.py": """\
import os, psycopg

with psycopg.connect(os.environ["DATABASE_URL"]) as db:
    db.execute("CREATE TABLE IF NOT EXISTS note (text text)")
    db.execute("INSERT INTO note VALUES ('one')")
""",
}


@pytest.mark.docker
def test_a_converted_project_starts_and_answers(tmp_path_factory: pytest.TempPathFactory) -> None:
    requirements = (ROOT / "examples" / "flask-minimal" / "requirements.txt").read_text()
    folder = make_project(tmp_path_factory, "moving", {**FILES, "requirements.txt": requirements})
    cli = Cli(folder)
    found = cli.data("init", "--from", "compose.yaml", "--verify")
    assert found["lost"] == []
    assert found["verified"]["differences"] == []
    assert Path(found["file"]) == folder / "stackfile.py"
    cli.file = folder / "stackfile.py"
    try:
        cli.up()
        assert cli.get()[1] == {
            "notes": 1, "greeting": "welcome", "motd": "well met", "secret": True, "uploads": [], "user": 0,
        }  # fmt: skip
        cli.get("/upload")
        eventually(lambda: cli.get()[1]["uploads"] == ["picture"])
        # Nothing of it changes without a reason.
        assert cli.pending() == []
    finally:
        cli.reset()
