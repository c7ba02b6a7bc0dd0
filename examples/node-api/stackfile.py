"""A task list: a front end that browsers reach, and a private API with its database and its cache."""

from stack import Postgres, Redis, Stack, WebApp

db = Postgres("db", migrations="migrations")
cache = Redis("cache")
api = WebApp(
    "api",
    source="api",
    publish=None,
    command=["node", "server.js"],
    uses=[db, cache],
    environment={"DATABASE_URL": db.url, "REDIS_URL": cache.url},
)
web = WebApp("web", source="web", port=8030, command=["node", "server.js"], uses=[api])

stack = Stack("tasks", [web, api, db, cache])
