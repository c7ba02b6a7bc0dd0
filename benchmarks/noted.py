"""The bundled stack with a variable whose value is given from outside, so that one run can change it."""

from stack import Parameter, Postgres, Redis, Stack, WebApp

db = Postgres("db", user="student", database="student_notes", migrations="../service/migrations")
cache = Redis("cache")
web = WebApp(
    "web",
    source="../service",
    port=8000,
    command=["python", "serve.py"],
    uses=[db, cache],
    environment={"NOTE": Parameter("NOTE", default="none")},
)

stack = Stack("noted", [web, db, cache])
