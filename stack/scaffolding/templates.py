"""What `init` knows of each kind of app: how it starts, its Dockerfile, and a first small one. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import field
from typing import Literal

from stack.frozen import dataclass

Kind = Literal["flask", "fastapi", "django", "node"]
Data = Literal["postgres", "redis", "both", "none"]

_PYTHON_DOCKERFILE = """\
FROM python:3.14-slim
WORKDIR /app
{install}
COPY . .
USER 10001:10001
CMD {command}
"""
_NODE_DOCKERFILE = """\
FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /app
COPY package*.json ./
RUN npm install --omit=dev
COPY . .
USER 10001:10001
CMD {command}
"""
# Nothing but the container itself reaches its loopback address.
_EVERY_ADDRESS = "0.0.0.0"  # noqa: S104 - of its networks
# By the file that says what an app needs.
_INSTALLS = {
    "requirements.txt": "COPY requirements.txt .\nRUN pip install --no-cache-dir -r requirements.txt",
    "pyproject.toml": "COPY . .\nRUN pip install --no-cache-dir .",
}
# What clients of the data are called.
CLIENTS: Mapping[Data, tuple[str, ...]] = {
    "postgres": ("psycopg2-binary",),
    "redis": ("redis",),
    "both": ("psycopg2-binary", "redis"),
    "none": (),
}


@dataclass(frozen=True)
class Template:
    """A kind of app. `program`: the words that start it, as Python; `module` stands in them for what it serves.

    `files`: a first app, by path, with `{clients}` for the lines of the clients of its data. `packages`: what has to be
    among the requirements of an app that is there already. `migrates`: the command that makes its tables.
    """

    port: int
    program: str
    module: str
    files: Mapping[str, str]
    packages: tuple[str, ...] = ()
    variables: tuple[str, ...] = ()
    migrates: tuple[str, ...] = ()
    python: bool = True
    manifests: tuple[str, ...] = field(default=("requirements.txt", "pyproject.toml"))

    def dockerfile(self, module: str, manifest: str) -> str:
        """Return the Dockerfile of an app whose requirements are in this file."""
        words = self.words(module).replace("{BIND}", _EVERY_ADDRESS).replace("{PORT}", str(self.port))
        command = words.replace('f"', '"')
        if not self.python:
            return _NODE_DOCKERFILE.format(command=command)
        return _PYTHON_DOCKERFILE.format(install=_INSTALLS[manifest], command=command)

    def words(self, module: str) -> str:
        """Return the words that start an app, as a list of Python."""
        return self.program.replace("MODULE", module)


_FLASK = """\
from flask import Flask

app = Flask(__name__)


@app.get("/")
def hello() -> dict[str, str]:
    return {"hello": "world"}
"""
_FASTAPI = """\
from fastapi import FastAPI

app = FastAPI()


@app.get("/")
def hello() -> dict[str, str]:
    return {"hello": "world"}
"""
_MANAGE = """\
import os
import sys

from django.core.management import execute_from_command_line

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
execute_from_command_line(sys.argv)
"""
_SETTINGS = """\
import os

import dj_database_url

SECRET_KEY = os.environ["SECRET_KEY"]
ALLOWED_HOSTS = ["*"]
ROOT_URLCONF = "config.urls"
INSTALLED_APPS = ["django.contrib.auth", "django.contrib.contenttypes"]
DATABASES = {"default": dj_database_url.config(default="sqlite:////tmp/db.sqlite3")}
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
"""
_URLS = """\
from django.http import HttpRequest, JsonResponse
from django.urls import path


def hello(request: HttpRequest) -> JsonResponse:
    return JsonResponse({"hello": "world"})


urlpatterns = [path("", hello)]
"""
_WSGI = """\
import os

from django.core.wsgi import get_wsgi_application

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")
application = get_wsgi_application()
"""
_SERVER = """\
const http = require('node:http')

http
  .createServer((request, response) => {
    response.setHeader('Content-Type', 'application/json')
    response.end(JSON.stringify({ hello: 'world' }))
  })
  .listen(process.env.PORT, process.env.BIND)
"""
_PACKAGE = """\
{
  "name": "app",
  "version": "0.1.0",
  "private": true,
  "scripts": { "start": "node server.js" }
}
"""

TEMPLATES: Mapping[Kind, Template] = {
    "flask": Template(
        port=8000,
        program='["gunicorn", f"--bind={BIND}:{PORT}", "--threads=8", "MODULE"]',
        module="app:app",
        packages=("gunicorn",),
        files={"app.py": _FLASK, "requirements.txt": "flask>=3.1,<4\ngunicorn>=23\n{clients}"},
    ),
    "fastapi": Template(
        port=8000,
        program='["uvicorn", "MODULE", f"--host={BIND}", f"--port={PORT}"]',
        module="main:app",
        packages=("uvicorn",),
        files={"main.py": _FASTAPI, "requirements.txt": "fastapi>=0.115,<1\nuvicorn>=0.34\n{clients}"},
    ),
    "django": Template(
        port=8000,
        program='["gunicorn", f"--bind={BIND}:{PORT}", "--threads=8", "MODULE"]',
        module="config.wsgi",
        packages=("gunicorn",),
        variables=("SECRET_KEY",),
        migrates=("python", "manage.py", "migrate", "--no-input"),
        files={
            "manage.py": _MANAGE,
            "config/__init__.py": "",
            "config/settings.py": _SETTINGS,
            "config/urls.py": _URLS,
            "config/wsgi.py": _WSGI,
            "requirements.txt": "django>=5.2,<7\ndj-database-url>=2.3\ngunicorn>=23\n{clients}",
        },
    ),
    "node": Template(
        port=3000,
        program='["node", "MODULE"]',
        module="server.js",
        python=False,
        manifests=("package.json",),
        files={"server.js": _SERVER, "package.json": _PACKAGE},
    ),
}
