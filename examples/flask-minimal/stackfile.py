"""A guest book: one web app and its database."""

from stack import Postgres, Stack, WebApp

db = Postgres("db", migrations="migrations")
web = WebApp("web", source=".", port=8010, command=["gunicorn", "app:app"], uses=[db])

stack = Stack("guestbook", [web, db])
