"""What is measured side by side: the service, and what it is compared with, on one PostgreSQL and one Redis."""

from stack import Postgres, Redis, Stack, WebApp

db = Postgres("db", user="student", database="student_notes")
cache = Redis("cache")

web = WebApp("web", source="../service", port=8100, command=["python", "serve.py"], uses=[db, cache])
# Its Redis refuses every connection.
alone = WebApp(
    "alone",
    source="../service",
    port=8103,
    health="/livez",
    command=["python", "serve.py"],
    environment={"CACHE_HOST": "127.0.0.1", "CACHE_PORT": 9},
    uses=[db],
)
plain = WebApp("plain", source="plain", port=8101, command=["gunicorn", "-c", "serve.py"], uses=[db])
empty = WebApp("empty", source="empty", port=8102, command=["python", "serve.py"])

stack = Stack("benchmark", [web, alone, plain, empty, db, cache])
