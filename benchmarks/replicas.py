"""The service four times on one PostgreSQL and one Redis."""

from stack import Postgres, Redis, Stack, WebApp

db = Postgres("db", user="student", database="student_notes")
cache = Redis("cache")
replicas = [
    WebApp(name, source="../service", port=8110 + number, command=["python", "serve.py"], uses=[db, cache])
    for number, name in enumerate(("web", "web2", "web3", "web4"))
]

stack = Stack("replicas", [*replicas, db, cache])
