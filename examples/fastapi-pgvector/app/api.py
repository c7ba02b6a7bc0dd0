"""The API: add a document, read it, and search for the nearest ones."""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Annotated, Any

from fastapi import Depends, FastAPI, HTTPException, Query, Request
from pgvector import Vector
from pgvector.psycopg import register_vector_async
from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool
from pydantic import BaseModel, Field

from app.embedding import embed


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with AsyncConnectionPool(
        os.environ["DATABASE_URL"],
        kwargs={"row_factory": dict_row},
        configure=register_vector_async,
        check=AsyncConnectionPool.check_connection,
        timeout=5,
    ) as pool:
        app.state.pool = pool
        yield


app = FastAPI(title="Search", lifespan=lifespan)


async def connection(request: Request) -> AsyncIterator[AsyncConnection[DictRow]]:
    async with request.app.state.pool.connection() as db:
        yield db


# The scope ends before the answer is sent: what was answered is committed.
Db = Annotated[AsyncConnection[DictRow], Depends(connection, scope="function")]


class Document(BaseModel):
    body: str = Field(min_length=1, max_length=10_000)


@app.post("/documents", status_code=202)
async def add(document: Document, db: Db) -> dict[str, Any]:
    """Keep a document. The worker embeds it, and a search finds it from then on."""
    rows = await db.execute("INSERT INTO document (body) VALUES (%s) RETURNING id", (document.body,))
    [added] = await rows.fetchall()
    return {"id": added["id"], "embedded": False}


@app.get("/documents/{id}")
async def read(id: int, db: Db) -> dict[str, Any]:
    rows = await db.execute("SELECT id, body, embedding IS NOT NULL AS embedded FROM document WHERE id = %s", (id,))
    if (found := await rows.fetchone()) is None:
        raise HTTPException(404, f"there is no document {id}")
    return found


@app.get("/search")
async def search(
    db: Db, q: Annotated[str, Query(min_length=1)], limit: Annotated[int, Query(ge=1, le=50)] = 5
) -> list[dict[str, Any]]:
    """Find the documents whose vectors have the smallest angle to that of `q`."""
    rows = await db.execute(
        """
        SELECT id, body, embedding <=> %(vector)s AS distance FROM document
        WHERE embedding IS NOT NULL ORDER BY embedding <=> %(vector)s LIMIT %(limit)s
        """,
        {"vector": Vector(embed(q)), "limit": limit},
    )
    return await rows.fetchall()


@app.get("/health")
async def health(db: Db) -> dict[str, str]:
    await db.execute("SELECT 1")
    return {"status": "pass"}
