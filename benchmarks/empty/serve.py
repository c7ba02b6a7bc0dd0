"""One route that does nothing, in the same server as the service: what Flask and the server cost by themselves."""

from __future__ import annotations

import os

from flask import Flask, Response, jsonify
from granian.constants import HTTPModes, Interfaces
from granian.server import MPServer

app = Flask(__name__)


@app.get("/")
def nothing() -> Response:
    return jsonify(page="homepage", visits=1)


@app.get("/health")
def health() -> Response:
    return jsonify(status="pass")


if __name__ == "__main__":
    MPServer(
        "serve:app",
        os.environ.get("BIND", "127.0.0.1"),
        int(os.environ["PORT"]),
        interface=Interfaces.WSGI,
        http=HTTPModes.http1,
        websockets=False,
        workers=2,
        blocking_threads=64,
    ).serve()
