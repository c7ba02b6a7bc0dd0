"""The worker: embed each document that has no vector yet.

The documents themselves are the queue, so none is added without its job. `FOR UPDATE SKIP LOCKED` lets several workers
share it, and what a worker had taken when it was killed is free again. `LISTEN` wakes it when documents are added.
"""

import logging
import os

import psycopg
from pgvector import Vector
from pgvector.psycopg import register_vector

from app.embedding import embed

BATCH = 20
# A notification is lost if it comes while the worker is away: it looks by itself this often, in seconds.
LOOK_EVERY = 30.0


log = logging.getLogger("worker")


def main() -> None:
    logging.basicConfig(level=logging.INFO, format="%(message)s")
    with psycopg.connect(os.environ["DATABASE_URL"], autocommit=True) as db:
        register_vector(db)
        db.execute("LISTEN document_added")
        log.info("waiting for documents")
        while True:
            while embed_batch(db):
                pass
            for _ in db.notifies(timeout=LOOK_EVERY, stop_after=1):
                pass


def embed_batch(db: psycopg.Connection) -> int:
    """Embed some of the waiting documents, and return how many."""
    with db.transaction():
        waiting = db.execute(
            "SELECT id, body FROM document WHERE embedding IS NULL ORDER BY id LIMIT %s FOR UPDATE SKIP LOCKED",
            (BATCH,),
        ).fetchall()
        for id, body in waiting:
            db.execute("UPDATE document SET embedding = %s WHERE id = %s", (Vector(embed(body)), id))
            log.info("embedded document %s", id)
    return len(waiting)


if __name__ == "__main__":
    main()
