"""A guest book: one web app and its database."""

from stack import BIND, PORT, Postgres, Stack, WebApp

db = Postgres("db", migrations="migrations")
gunicorn = ["gunicorn", f"--bind={BIND}:{PORT}", "--threads=8", "--no-control-socket", "app:app"]
web = WebApp("web", source=".", port=8010, command=gunicorn, uses=[db])

stack = Stack("guestbook", [web, db])
