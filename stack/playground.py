"""The bundled stack: a visit counter on Flask, its PostgreSQL and its Redis."""

from stack import CachedValue, Postgres, Redis, Stack, WebApp

db = Postgres(
    "db", user="student", database="student_notes", inspect="visit_counter", migrations="../service/migrations"
)

homepage = CachedValue(
    key="visit_counter:homepage",
    database=db,
    query="SELECT visits FROM visit_counter WHERE page = 'homepage'",
)
cache = Redis("cache", inspect=homepage)

web = WebApp(
    "web",
    source="../service",
    port=8000,
    command=["python", "serve.py"],
    uses=[db, cache],
    rereads_secrets=True,
)

stack = Stack("playground", [web, db, cache])
