"""A photo gallery: Django, Celery with its beat, a database, a cache, a queue, files and mail."""

from stack import BIND, PORT, Job, Mail, Parameter, Postgres, Redis, Stack, Volume, WebApp, Worker

secret_key = Parameter("SECRET_KEY", secret=True, generate=True)

db = Postgres("db")
cache = Redis("cache")  # forgets what was used least when it is full
queue = Redis("queue", durable=True)  # forgets nothing, so each job is there until it is done
mail = Mail("mail")
media = Volume("media")

web = WebApp(
    "web",
    source=".",
    port=8040,
    command=["gunicorn", f"--bind={BIND}:{PORT}", "--threads=8", "--no-control-socket", "gallery.wsgi"],
    uses=[db, cache, queue, mail],
    volumes={"/app/media": media},
    environment={
        "SECRET_KEY": secret_key,
        "DATABASE_URL": db.url,
        "CACHE_URL": cache.url,
        "CELERY_BROKER_URL": queue.url,
    },
)
worker = Worker("worker", of=web, command=["celery", "-A", "gallery", "worker", "--concurrency=2", "--loglevel=info"])
# A second one would send each job twice. Its schedule is in memory, because it may not write beside the code.
beat = Worker(
    "beat",
    of=web,
    command=["celery", "-A", "gallery", "beat", "--scheduler=celery.beat:Scheduler", "--loglevel=info"],
    singleton=True,
)
migrate = Job("migrate", of=web, command=["python", "manage.py", "migrate", "--no-input"], before=[web])

stack = Stack("gallery", [web, worker, beat, migrate, db, cache, queue, mail])
