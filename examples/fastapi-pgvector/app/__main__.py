"""Serve the API where the stack says: in a container on every address, without one on 127.0.0.1."""

import os

import uvicorn

uvicorn.run("app.api:app", host=os.environ["BIND"], port=int(os.environ["PORT"]))
