"""What goes wrong for real, and the one clear error that it gives."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import platform
import signal
import subprocess
import textwrap
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest

from tests.cli import Cli, eventually
from tests.proxy import proxy
from tests.servers import MISSING

pytestmark = pytest.mark.docker

Make = Callable[..., Cli]
GOOD_APP = {
    "Dockerfile": """
        FROM python:3.14-slim
        COPY app.py /app.py
        CMD ["python", "/app.py"]
        """,
    "app.py": """
        import http.server, json, os
        class Handler(http.server.BaseHTTPRequestHandler):
            def do_GET(self):
                body = json.dumps(dict(os.environ)).encode()
                self.send_response(200 if self.path == os.environ.get("HEALTH", "/health") else 404)
                self.end_headers()
                self.wfile.write(body)
        http.server.HTTPServer(("", 3000), Handler).serve_forever()
        """,
}


def app(folder: Path, options: str = "", files: Mapping[str, str] = GOOD_APP) -> Path:
    """A stack file with one web app, and the folder of that app. Gives the stack file."""
    source = folder / "app"
    source.mkdir(exist_ok=True)
    for name, text in files.items():
        (source / name).write_text(textwrap.dedent(text).strip() + "\n", encoding="utf-8")
    file = folder / "shop.py"
    file.write_text(
        "from stack import Stack, WebApp\n"
        f'web = WebApp("web", source="app", port=3000, {options})\n'
        'stack = Stack("shop", [web])\n',
        encoding="utf-8",
    )
    return file


def test_any_app_with_a_dockerfile_is_a_web_app(new_cli: Make, tmp_path: Path) -> None:
    options = """environment={"PRICE": "$5 'x'", "HEALTH": "/ready"}, health="/ready", stop_grace=1"""
    cli = new_cli(file=app(tmp_path, options))
    cli.up()
    status, environment = cli.get("/ready")
    assert (status, environment["PRICE"]) == (200, "$5 'x'")
    command = """["python", "-c", "import os; os.environ['BY'] = 'me'; exec(open('/app.py').read())"]"""
    app(tmp_path, f"{options}, command={command}")
    assert cli.up()["changed"] is True
    assert cli.get("/ready")[1]["BY"] == "me", "a command replaces that of the image"


def test_a_changed_source_is_rebuilt(new_cli: Make, tmp_path: Path) -> None:
    cli = new_cli(file=app(tmp_path, "stop_grace=1"))
    cli.up()
    source = tmp_path / "app" / "app.py"
    source.write_text(source.read_text().replace("dict(os.environ)", '{"version": 2}'), encoding="utf-8")
    cli.up()
    assert cli.get("/health")[1] == {"version": 2}


@pytest.mark.long
def test_an_app_that_never_answers_is_told_when_the_time_is_over(new_cli: Make, tmp_path: Path) -> None:
    cli = new_cli(file=app(tmp_path, 'health="/nowhere", stop_grace=1'))
    error = cli.fails("up", "--port", str(cli.port), "--timeout", "5", code="not-ready")
    assert f"404 from http://localhost:{cli.port}/nowhere" in error["message"]


def test_an_unhealthy_app_is_reported_with_the_output_of_its_check(new_cli: Make, tmp_path: Path) -> None:
    cli = new_cli(file=app(tmp_path, "stop_grace=1", with_check("echo not well; exit 1")))
    error = cli.fails("up", "--port", str(cli.port), "--timeout", "8", code="not-ready")
    assert "web starting" in error["message"]
    assert "the health check of web said: not well" in error["message"]


def test_an_app_that_needs_too_much_memory_is_told(new_cli: Make, tmp_path: Path) -> None:
    options = """memory=32, command=["python", "-c", "x = b'x' * 200_000_000; input()"]"""
    cli = new_cli(file=app(tmp_path, options))
    error = cli.fails("up", "--port", str(cli.port), code="out-of-memory")
    assert "web needed more memory" in error["message"]


CHECK = "HEALTHCHECK CMD"  # how often it is asked, stackctl says


def with_check(command: str) -> Mapping[str, str]:
    return GOOD_APP | {"Dockerfile": textwrap.dedent(GOOD_APP["Dockerfile"]) + f"{CHECK} {command}\n"}


def test_a_crash_loop_with_a_health_check_is_told(new_cli: Make, tmp_path: Path) -> None:
    options = """command=["python", "-c", "import sys; print('no config'); sys.exit(3)"]"""
    cli = new_cli(file=app(tmp_path, options, with_check("true")))
    error = cli.fails("up", "--port", str(cli.port), code="crash-loop")
    assert "exit code 3" in error["message"]
    assert error["output"].endswith("no config")


@pytest.mark.long
def test_an_app_that_falls_ill_is_told_with_what_its_check_said(new_cli: Make, tmp_path: Path) -> None:
    check = "test ! -e /tmp/ill || { echo the licence ran out; exit 1; }"
    cli = new_cli(file=app(tmp_path, "stop_grace=1", with_check(check)))
    cli.up()
    cli.ok("exec", "web", "--", "touch", "/tmp/ill")
    eventually(lambda: cli.data("status")["components"]["web"]["health"] == "unhealthy", within=90, every=1)
    error = cli.fails("up", code="unhealthy")
    assert "web runs but its health check fails; it said: the licence ran out" in error["message"]
    cli.ok("exec", "web", "--", "rm", "/tmp/ill")
    eventually(lambda: cli.data("status")["components"]["web"]["health"] == "healthy", within=60, every=1)
    cli.up()


def test_a_daemon_that_goes_in_the_middle_is_told_at_once(new_cli: Make, tmp_path: Path) -> None:
    host = subprocess.run(
        ["docker", "context", "inspect", "--format", "{{.Endpoints.docker.Host}}"],
        capture_output=True, text=True, check=True,
    ).stdout.strip()  # fmt: skip
    if not host.startswith("unix://"):
        pytest.skip(f"the daemon is at {host}; this test stands before a unix socket")
    direct = new_cli(file=app(tmp_path, 'health="/nowhere", stop_grace=1'))
    with proxy(host.removeprefix("unix://")) as daemon:
        through = {"DOCKER_HOST": f"tcp://127.0.0.1:{daemon.port}"}
        cli = Cli(tmp_path, direct.instance, direct.port, direct.file, environment=through)
        with cli.start("--json", "up", "--port", str(cli.port)) as up:
            assert up.stderr is not None
            assert up.stdout is not None
            assert any("web: running" in line for line in up.stderr), "it never came so far"
            daemon.set("refuse")
            up.stderr.read()
            error = json.load(up.stdout)["error"]
            assert up.wait(60) == 1
    assert error["code"] == "docker-daemon", error
    assert "docker version" in error["hint"]
    assert direct.data("status")["components"]["web"]["state"] == "running", "what runs was left as it is"


@pytest.mark.long
def test_a_database_whose_first_start_was_killed_is_told(cli: Cli) -> None:
    cli.up()
    store = cli.data("down")["kept"][0]
    for moment in ("PG_VERSION", "global/pg_control", "base/1/PG_VERSION"):
        kill_first_start(store, moment)
        error = cli.fails("up", code="data-incomplete")
        assert "its first start was cut off" in error["message"], moment
        assert "db" in error["message"]
        assert " reset" in error["hint"]
        # Told to end between two crashes, such a PostgreSQL often never does.
        variables = cli.whole_environment | cli.data("env")
        subprocess.run(["docker", "compose", "kill"], env=variables, check=True, capture_output=True)
        cli.ok("down")


def kill_first_start(store: str, moment: str) -> None:
    """Make a database anew in the volume, and kill all as soon as a file is there."""
    script = f"""
        rm -rf /data/18/docker && mkdir -p /data/18/docker
        initdb -D /data/18/docker --username=student &
        until [ -s /data/18/docker/{moment} ]; do :; done
        kill -9 $!
        """
    where = ["-v", f"{store}:/data", "--user", "999", "--network", "none"]
    words = ["docker", "run", "--rm", *where, "postgres:18", "sh", "-c", script]
    subprocess.run(words, check=False, capture_output=True)


@pytest.mark.long
def test_a_database_whose_disk_is_full_is_told(cli: Cli) -> None:
    cli.up()
    store = cli.data("down")["kept"][0]
    inspect = ["docker", "volume", "inspect", "--format", "{{json .Labels}}", store]
    labels = json.loads(subprocess.run(inspect, capture_output=True, text=True, check=True).stdout)
    small = ["--opt", "type=tmpfs", "--opt", "device=tmpfs", "--opt", "o=size=20m,uid=999,gid=999"]
    marks = [word for name, value in labels.items() for word in ("--label", f"{name}={value}")]
    for words in (["rm", store], ["create", *small, *marks, store]):
        subprocess.run(["docker", "volume", *words], check=True, capture_output=True)
    error = cli.fails("up", code="disk-full")
    assert "no space left on a disk that db writes to" in error["message"]
    assert "No space left on device" in error["output"]
    assert "docker system df" in error["hint"]


@contextmanager
def registry_of(architecture: str) -> Iterator[str]:
    """A registry on loopback whose every image is for one architecture only. Gives its address."""
    manifest = {"mediaType": "application/vnd.oci.image.manifest.v1+json", "digest": f"sha256:{'0' * 64}", "size": 1}
    index = json.dumps({
        "schemaVersion": 2,
        "mediaType": "application/vnd.oci.image.index.v1+json",
        "manifests": [manifest | {"platform": {"architecture": architecture, "os": "linux"}}],
    }).encode()  # fmt: skip

    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.send_header("Content-Type", "application/vnd.oci.image.index.v1+json")
            self.send_header("Content-Length", str(len(index)))
            self.send_header("Docker-Content-Digest", f"sha256:{hashlib.sha256(index).hexdigest()}")
            self.end_headers()
            if self.command == "GET":
                self.wfile.write(index)

        do_HEAD = do_GET

        def log_message(self, *arguments: object) -> None:
            """Nothing: the daemon's requests are not of interest."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"127.0.0.1:{server.server_port}"
        finally:
            server.shutdown()
            thread.join()


def test_an_image_for_another_architecture_is_told(new_cli: Make, tmp_path: Path) -> None:
    file = tmp_path / "shop.py"
    with registry_of("arm64" if platform.machine() == "x86_64" else "amd64") as registry:
        file.write_text(
            "from dataclasses import replace\n"
            "from stack import Redis, Stack\n"
            "class Elsewhere(Redis):\n"
            "    def workload(self, target):\n"
            f"        return replace(super().workload(target), image='{registry}/elsewhere:1')\n"
            "stack = Stack('shop', [Elsewhere('cache')])\n",
            encoding="utf-8",
        )
        error = new_cli(file=file).fails("up", code="image-unavailable")
    assert "an image does not exist for this machine's architecture" in error["message"]
    assert "no matching manifest" in error["output"]


def test_a_build_that_fails_shows_its_lines_and_keeps_what_ran(new_cli: Make, tmp_path: Path) -> None:
    cli = new_cli(file=app(tmp_path, "stop_grace=1"))
    cli.up()
    app(tmp_path, "stop_grace=1", {"Dockerfile": "FROM python:3.14-slim\nRUN echo the cause && false\n"})
    error = cli.fails("up", code="build-failed")
    assert error["message"] == "the image of web could not be built"
    assert "the cause" in error["output"]
    assert cli.get("/health")[0] == 200, "what ran before still runs"


@pytest.mark.long
def test_a_first_build_that_fails_leaves_what_needs_none_to_the_next_up(new_cli: Make, tmp_path: Path) -> None:
    file = app(tmp_path, "stop_grace=1, uses=[db]", {"Dockerfile": "FROM python:3.14-slim\nRUN false\n"})
    text = file.read_text(encoding="utf-8").replace("import Stack", "import Postgres, Stack")
    text = text.replace("[web]", "[web, db]").replace("web = ", 'db = Postgres("db")\nweb = ', 1)
    file.write_text(text, encoding="utf-8")
    cli = new_cli(file=file)
    cli.fails("up", "--port", str(cli.port), code="build-failed")
    left = cli.data("status")["components"]
    assert {name: each["state"] for name, each in left.items()} == {"web": "absent", "db": "running"}
    (tmp_path / "app" / "Dockerfile").write_text(textwrap.dedent(GOOD_APP["Dockerfile"]), encoding="utf-8")
    (tmp_path / "app" / "app.py").write_text(textwrap.dedent(GOOD_APP["app.py"]), encoding="utf-8")
    cli.up()
    assert cli.data("status")["components"]["db"]["since"] == left["db"]["since"], (
        "it was made while the image was built, and once"
    )
    assert cli.pending() == []


@pytest.mark.long
def test_an_interrupted_build_keeps_what_ran(new_cli: Make, tmp_path: Path) -> None:
    cli = new_cli(file=app(tmp_path, "stop_grace=1"))
    cli.up()
    app(tmp_path, "stop_grace=1", {"Dockerfile": "FROM python:3.14-slim\nRUN sleep 60\n"})
    for ending in (signal.SIGINT, signal.SIGTERM):
        with cli.start("up") as up:
            assert up.stderr is not None
            assert any("sleep 60" in line for line in up.stderr), "the build never began"
            up.send_signal(ending)
            said = up.stderr.read()
            assert up.wait(60) == 130, said
        assert "interrupted" in said
    assert cli.get("/health")[0] == 200, "what ran before still runs"
    app(tmp_path, "stop_grace=1")
    cli.up()


def test_a_base_image_that_cannot_be_pulled_is_told(new_cli: Make, tmp_path: Path) -> None:
    cli = new_cli(file=app(tmp_path, "", {"Dockerfile": "FROM localhost:1/nothing/of-this-name:1\n"}))
    error = cli.fails("up", "--port", str(cli.port), code="image-unavailable")
    assert "localhost:1/nothing/of-this-name:1, in the build of web" in error["message"]


def test_a_source_without_a_dockerfile_is_told_with_its_path(new_cli: Make, tmp_path: Path) -> None:
    error = new_cli(file=app(tmp_path, "", {})).fails("up", code="declaration-invalid", exit_code=2)
    assert error["message"] == f"shop/web/source: {tmp_path / 'app'} has no Dockerfile"


def test_without_a_daemon_every_command_says_so(new_cli: Make, tmp_path: Path) -> None:
    cli = Cli(tmp_path, environment={"DOCKER_HOST": f"unix://{tmp_path}/no.sock"})
    for words in (["up"], ["status"], ["logs"], ["exec", "web", "--", "true"], ["inspect"], ["stop"], ["start"],
                  ["down"], ["reset", "--yes"]):  # fmt: skip
        error = cli.fails(*words, code="docker-daemon")
        assert "docker version" in error["hint"]


def test_without_the_compose_plugin_it_says_so(tmp_path: Path) -> None:
    plugins = ("/usr/libexec/docker/cli-plugins", "/usr/lib/docker/cli-plugins", "/usr/local/lib/docker/cli-plugins",
               "/usr/local/libexec/docker/cli-plugins")  # fmt: skip
    if any(Path(folder, "docker-compose").exists() for folder in plugins):
        pytest.skip("Compose is installed for the whole machine: it can't be taken away for a test")
    cli = Cli(tmp_path, environment={"DOCKER_CONFIG": os.fspath(tmp_path)})
    error = cli.fails("up", code="compose-missing")
    assert "Compose plugin" in error["message"]


PROCESS_APP = """
    import http.server, os
    class Handler(http.server.BaseHTTPRequestHandler):
        def do_GET(self):
            self.send_response(200)
            self.end_headers()
            self.wfile.write(b'{"engine": "embedded"}')
    http.server.HTTPServer(("127.0.0.1", int(os.environ["PORT"])), Handler).serve_forever()
    """


@pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
def test_without_images_an_instance_is_embedded_unless_asked(new_cli: Make, tmp_path: Path) -> None:
    files = {"Dockerfile": "FROM localhost:1/nothing/of-this-name:1\n", "app.py": PROCESS_APP}
    file = app(tmp_path, 'command=["python3", "app.py"], stop_grace=1', files)
    asked = new_cli(file=file)
    assert "docker load" in asked.fails("up", "--port", str(asked.port), code="image-unavailable")["hint"]
    free = new_cli(file=file, engine="auto")
    said = free.ok("up", "--port", str(free.port))
    (line,) = [line for line in said.stderr.splitlines() if "embedded" in line]
    assert "on the embedded engine (an image is neither on this machine nor can be pulled" in line
    assert free.get("/health") == (200, {"engine": "embedded"})
    assert free.data("status")["engine"] == "embedded"
    error = Cli(tmp_path, free.instance, free.port, file).fails("up", code="engine-differs")
    assert "is on the engine embedded" in error["message"]
