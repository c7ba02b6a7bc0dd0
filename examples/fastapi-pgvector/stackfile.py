"""Search by meaning's nearest relative: an API, a worker that embeds documents, and PostgreSQL with pgvector."""

from stack import BIND, PORT, Postgres, Stack, WebApp, Worker

db = Postgres("db", image="pgvector/pgvector:pg18", extensions=["vector"], migrations="migrations")
api = WebApp(
    "api",
    source=".",
    port=8020,
    command=["uvicorn", "app.api:app", "--host", BIND, "--port", PORT],
    uses=[db],
    environment={"DATABASE_URL": db.url},
)
worker = Worker("worker", of=api, command=["python", "-m", "app.worker"])

stack = Stack("search", [api, worker, db])
