"""What programs write when they fail, as recorded, and the cause that is told of it."""

from __future__ import annotations

import pytest

from stack.causes import recognise

RECORDED = {
    'FATAL:  password authentication failed for user "student"': (
        "password-mismatch",
        "refuses the password of student",
    ),
    "FATAL:  database files are incompatible with server\nDETAIL:  The data directory was initialized by PostgreSQL "
    "version 17": ("data-version", "another major version"),
    "Error: in 18+, these Docker images are configured to store database data in a\n": (
        "data-version",
        "another major version",
    ),
    'FATAL:  unrecognized configuration parameter "wrk_mem"': ("setting-refused", "does not start with wrk_mem"),
    'FATAL:  invalid value for parameter "work_mem": "plenty"': ("setting-refused", "does not start with work_mem"),
    'FATAL:  parameter "jit" requires a Boolean value': ("setting-refused", "does not start with jit"),
    'FATAL:  1 8kB is outside the valid range for parameter "shared_buffers" (16 8kB .. 1073741823 8kB)': (
        "setting-refused",
        "does not start with shared_buffers",
    ),
    'FATAL:  could not access file "pg_cron": No such file or directory': ("setting-refused", "no library pg_cron"),
    "stackctl: its image has PostgreSQL 17, and version=18 is declared": (
        "image-differs",
        "image has PostgreSQL 17, and version=18 is declared",
    ),
    "stackctl: its image has no user 999, and postgres is 70:70 there": ("image-differs", "postgres is 70:70 there"),
    'FATAL:  data directory "/var/lib/postgresql/18/docker" has wrong ownership': ("data-differs", "another user"),
    "# Can't handle RDB format version 12": ("data-version", "another server, or by a newer version"),
    'FATAL:  database "student_notes" does not exist': ("data-incomplete", 'database "student_notes" does not exist'),
    'postgres: could not find the database system\nExpected to find it in the directory "/data",\nbut could not open '
    'file "/data/global/pg_control": No such file or directory': ("data-incomplete", "global/pg_control"),
    'FATAL:  could not open file "global/pg_filenode.map": No such file or directory': (
        "data-incomplete",
        "pg_filenode.map",
    ),
    'FATAL:  no pg_hba.conf entry for host "172.18.0.2", user "student"': ("data-incomplete", "start was cut off"),
    'FATAL:  required WAL directory "pg_wal" does not exist': ("data-incomplete", "pg_wal"),
    'LOG:  could not open file "/data/pg_hba.conf": No such file or directory\nFATAL:  could not load /pg_hba.conf': (
        "data-incomplete",
        "pg_hba.conf",
    ),
    'FATAL:  "base/5" is not a valid data directory\nDETAIL:  File "base/5/PG_VERSION" is missing.': (
        "data-incomplete",
        "base/5",
    ),
    'initdb: error: directory "/data" exists but is not empty\ninitdb: hint: If you want to create': (
        "data-incomplete",
        'directory "/data" exists',
    ),
    "OSError: [Errno 28] No space left on device: '/tmp/upload'": ("disk-full", "/tmp of web is full (/tmp/upload)"),
    "could not write to file: No space left on device": ("disk-full", "no space left"),
    "ModuleNotFoundError: No module named 'flask_login'": ("module-missing", "web can't import flask_login"),
    "Error: Cannot find module 'express'\nRequire stack:": ("module-missing", "web can't import express"),
    "exec /usr/bin/tini: exec format error": ("image-architecture", "another kind of processor"),
    'OCI runtime create failed: exec: "serve": executable file not found in $PATH: unknown': (
        "command-missing",
        "there is no serve",
    ),
    "./odd: 1: ELF: not found": ("image-architecture", "another kind of processor"),
    "[FATAL tini (7)] exec serve failed: No such file or directory": ("command-missing", "there is no serve"),
    "stackctl: gunicorn: not found": ("command-missing", "there is no gunicorn"),
    "python: can't open file '/app/nowhere.py': [Errno 2] No such file or directory": (
        "command-missing",
        "there is no /app/nowhere.py",
    ),
    "OSError: [Errno 98] Address already in use": ("port-taken", "web can't listen"),
    'could not translate host name "postgres" to address: Name or service not known': (
        "name-unresolved",
        "no address here (postgres)",
    ),
    "Error: getaddrinfo ENOTFOUND mongo": ("name-unresolved", "(mongo)"),
    "socket.gaierror: [Errno -2] Name or service not known": ("name-unresolved", "a host that has no address here"),
    "    socket.create_connection(('nobody.invalid', 80))\n    ~~~~~^^^^^\n  File \"/usr/lib/socket.py\", line 976, in "
    "getaddrinfo\nsocket.gaierror: [Errno -2] Name or service not known": ("name-unresolved", "(nobody.invalid)"),
    "redis.exceptions.ConnectionError: Error -3 connecting to queue:6379. Temporary failure in name resolution.": (
        "name-unresolved",
        "(queue)",
    ),
    "urllib3.exceptions.NameResolutionError: Failed to resolve 'api.invalid' ([Errno -2] Name or service not known)": (
        "name-unresolved",
        "(api.invalid)",
    ),
    "dial tcp: lookup mongo on 127.0.0.11:53: no such host": ("name-unresolved", "(mongo)"),
    '  File "/app/app.py", line 3\n    def broken(:\n               ^\nSyntaxError: invalid syntax': (
        "syntax-error",
        "/app/app.py, line 3: SyntaxError: invalid syntax",
    ),
    "/app/index.js:3\nlet x = ;\n        ^\n\nSyntaxError: Unexpected token ';'": (
        "syntax-error",
        "/app/index.js, line 3: SyntaxError: Unexpected token ';'",
    ),
    '  File "/app/app.py", line 1, in <module>\n    os.environ["API_KEY"]\n  File "<frozen os>", line 717, in '
    "__getitem__\nKeyError: 'API_KEY'": ("variable-missing", "web needs the variable API_KEY"),
    "ImportError: cannot import name 'shared_tusk' from 'celery' (/celery.py). Did you mean: 'shared_task'?": (
        "module-missing",
        "web fails at an import: cannot import name 'shared_tusk' from 'celery'",
    ),
    "ImportError: cannot import name 'b' from partially initialized module 'a' (most likely a circular import)": (
        "module-missing",
        "web fails at an import: cannot import name 'b' from partially initialized module 'a'",
    ),
    "/start.sh: line 2: API_KEY: unbound variable": ("variable-missing", "web needs the variable API_KEY"),
    "PermissionError: [Errno 13] Permission denied: '/app/cache'": ("permission-denied", "web may not read or write"),
    'FATAL:  data directory "/data" has wrong ownership': ("permission-denied", "web may not read or write"),
    "OSError: [Errno 30] Read-only file system: 'out.log'": ("permission-denied", "web may not read or write"),
}


@pytest.mark.parametrize("said", RECORDED)
def test_a_text_as_recorded_tells_its_cause(said: str) -> None:
    code, message = RECORDED[said]
    of_databases = ("data-", "setting-", "image-differs", "password-mismatch")
    role = "PostgreSQL" if code.startswith(of_databases) else "web app"
    role = "Redis" if "RDB" in said else role
    cause = recognise("web", f"starting\n{said}\nbye", role)
    assert cause is not None
    assert (cause.code, message in cause.message) == (code, True), cause
    assert cause.hint
    assert "{" not in cause.message + cause.hint


CHOWN = '`user="image"` and `capabilities=["CHOWN", "SETGID", "SETUID"]`'
BIND = '`capabilities=["NET_BIND_SERVICE"]`'
# What containers write that need more than they may do: what the message names, and what the hint says to declare.
NOT_PERMITTED = {
    'nginx: [emerg] mkdir() "/var/cache/nginx/client_temp" failed (30: Read-only file system)': (
        "can't write to /var/cache/nginx/client_temp:",
        "`tmpfs=[…]`",
    ),
    "mkdir: cannot create directory '/run/app': Read-only file system": ("can't write to /run/app:", "`tmpfs=[…]`"),
    "mkdir: cannot create \u2018/run/app\u2019: Read-only file system": ("can't write to /run/app:", "`tmpfs=[…]`"),
    "mkdir: can't create directory '/run/app/': Read-only file system": ("can't write to /run/app/:", "`volumes={…}`"),
    "sh: 1: cannot create /etc/app.conf: Read-only file system": ("can't write to /etc/app.conf:", "`writable=True`"),
    "OSError: [Errno 30] Read-only file system: '/srv/out.log'": ("can't write to /srv/out.log:", "`tmpfs=[…]`"),
    "Error: EROFS: read-only file system, mkdir '/app/.cache'": ("can't write to /app/.cache:", "`tmpfs=[…]`"),
    "panic: open /data/db.lock: read-only file system": ("can't write to /data/db.lock:", "`volumes={…}`"),
    "java.io.FileNotFoundException: /opt/app/logs/gc.log (Read-only file system)": (
        "can't write to /opt/app/logs/gc.log:",
        "`writable=True`",
    ),
    "write failed: Read-only file system": ("can't write to its image", "`writable=True`"),
    'nginx: [emerg] chown("/var/cache/nginx/client_temp", 101) failed (1: Operation not permitted)': ("chown(", CHOWN),
    "chown: changing ownership of '/var/lib/mysql': Operation not permitted": ("chown: changing", CHOWN),
    "chown: /data: Operation not permitted": ("chown: /data", CHOWN),
    "[emerg] 7#7: initgroups(nginx, 101) failed (1: Operation not permitted)": ("initgroups(nginx, 101)", CHOWN),
    'error: failed switching to "redis": operation not permitted': ('failed switching to "redis"', CHOWN),
    "su: cannot set groups: Operation not permitted": ("cannot set groups", CHOWN),
    "setpriv: setresuid failed: Operation not permitted": ("setresuid failed", CHOWN),
    "s6-applyuidgid: fatal: unable to set supplementary group list: Operation not permitted": ("unable to set", CHOWN),
    "This program must be run as root": ("has to run as root", '`user="image"`'),
    "E: you need to be root to do this": ("has to run as root", '`user="image"`'),
    "dnsmasq: setting capabilities failed; this requires root": ("has to run as root", '`user="image"`'),
    "E: Could not open lock file, are you root?": ("has to run as root", '`user="image"`'),
    "nginx: [emerg] bind() to 0.0.0.0:80 failed (13: Permission denied)": ("may not listen on port 80:", BIND),
    "Error: listening on :443: listen tcp :443: bind: permission denied": ("may not listen on port 443:", BIND),
    "Error: listen EACCES: permission denied 0.0.0.0:80": ("may not listen on port 80:", BIND),
    "(13)Permission denied: AH00072: make_sock: could not bind to address [::]:80": ("listen on port 80:", BIND),
    "[ALERT] (1) : Starting frontend http: cannot bind socket (Permission denied) [0.0.0.0:80]": ("port 80:", BIND),
    "    server.bind(('', 80))\n    ~~~^^^\nPermissionError: [Errno 13] Permission denied": ("port 80:", BIND),
    "exec /usr/bin/caddy: operation not permitted": ("may not start /usr/bin/caddy:", BIND),
    "[FATAL tini (7)] exec caddy failed: Operation not permitted": ("may not start caddy:", BIND),
    "sh: 1: caddy: Operation not permitted": ("may not start caddy:", "`setcap -r caddy`"),
    "bash: line 1: /usr/bin/caddy: Operation not permitted": ("may not start /usr/bin/caddy:", BIND),
    "PermissionError: [Errno 13] Permission denied: '/data/index'": ("read or write /data/index,", '`user="image"`'),
    "open /etc/app/key.pem: permission denied": ("read or write /etc/app/key.pem,", '`capabilities=["DAC_OVERRIDE"]`'),
}


@pytest.mark.parametrize("said", NOT_PERMITTED)
def test_what_a_container_may_not_do_names_the_field_to_declare(said: str) -> None:
    message, hint = NOT_PERMITTED[said]
    cause = recognise("search", f"starting\n{said}\nbye", "container")
    assert cause is not None
    assert cause.code == "permission-denied"
    assert message in cause.message, cause
    assert hint in cause.hint, cause
    assert "{" not in cause.hint.replace("{…}", "")


@pytest.mark.parametrize(
    "said",
    ["nginx: the server must not be run as root", "the root must be /srv", "initdb: error: cannot be run as root"],
)
def test_what_is_said_of_root_is_not_always_that_it_is_needed(said: str) -> None:
    assert recognise("search", said, "container") is None


@pytest.mark.parametrize("role", ["web app", "worker", "job", "container"])
@pytest.mark.parametrize(
    "said",
    [
        "OSError: [Errno 30] Read-only file system: '/.cache'",
        "PermissionError: [Errno 13] Permission denied: '/.cache'",
        "npm error EROFS: read-only file system, mkdir '/.cache'",
        "failed to initialize build cache at /.cache/go-build: mkdir /.cache: read-only file system",
        "mkdir: cannot create directory '/.cache': Read-only file system",
        "mkdir: cannot create directory \u2018//.cache\u2019: Read-only file system",
    ],
)
def test_what_writes_to_a_home_that_is_not_there_gets_one(said: str, role: str) -> None:
    cause = recognise("web", said, role)
    assert cause is not None
    assert cause.code == "permission-denied"
    assert "/.cache: the user that it runs as has no home" in cause.message
    assert '`environment={"HOME": "/tmp"}`' in cause.hint


@pytest.mark.parametrize("path", ["/app/.cache", "./.cache", "/data/.x"])
def test_a_hidden_file_elsewhere_has_nothing_to_do_with_a_home(path: str) -> None:
    for said in (f"mkdir {path}: read-only file system", f"OSError: [Errno 30] Read-only file system: '{path}'"):
        cause = recognise("web", said)
        assert cause is not None
        assert "home" not in cause.message


@pytest.mark.parametrize("said", NOT_PERMITTED)
def test_a_component_is_told_of_no_field_that_it_does_not_have(said: str) -> None:
    cause = recognise("web", said, "web app")
    assert cause is not None
    assert cause.code == "permission-denied"
    for field in ("writable", "tmpfs", "capabilities"):
        assert field not in cause.hint or "Container" in cause.hint, cause


def test_what_only_a_database_knows_of_its_data_is_not_believed_of_an_app() -> None:
    assert recognise("web", 'FATAL:  database "elsewhere" does not exist', "web app") is None
    cause = recognise("web", 'FATAL:  password authentication failed for user "shop"', "web app")
    assert cause is not None
    assert (cause.code, cause.message) == (
        "password-mismatch",
        "web asks PostgreSQL as shop with a password that is not the right one",
    )


HARMLESS = "chmod: changing permissions of '/var/run/postgresql': Operation not permitted"


def test_what_the_official_database_image_always_writes_is_no_cause() -> None:
    assert recognise("db", HARMLESS, "PostgreSQL") is None
    cause = recognise(
        "db", f"{HARMLESS}\nchmod: changing permissions of '/data': Operation not permitted", "PostgreSQL"
    )
    assert cause is not None
    assert cause.code == "permission-denied"


def test_data_that_can_not_be_read_is_not_called_incomplete() -> None:
    said = (
        'postgres: could not find the database system\nExpected to find it in the directory "/data",\n'
        'but could not open file "/data/global/pg_control": Permission denied'
    )
    cause = recognise("db", said, "PostgreSQL")
    assert cause is not None
    assert cause.code == "permission-denied"


@pytest.mark.parametrize("said", ["", "ready to accept connections", "GET / 404 not found", "ValueError: no config"])
def test_what_is_no_known_cause_is_none(said: str) -> None:
    assert recognise("web", said) is None


def test_a_program_that_is_missing_without_docker_is_said_to_be_installed() -> None:
    without = recognise("web", "stackctl: serve: not found")
    assert without is not None
    assert ".venv/bin/pip install" in without.hint
    within = recognise("web", "exec serve failed: No such file")
    assert within is not None
    assert "Dockerfile" in within.hint
