"""The images that the tests name, and stand-ins built from Debian's packages where no registry can be reached.

A stand-in bears the official name and the label `stackctl.stand-in`. A second label holds the fingerprint of what it
was built from, so that a changed Dockerfile is built anew and an unchanged one never.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import select
import subprocess
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from tests.engine.machine import (
    CERTIFICATES,
    ENVIRONMENT,
    alone,
    answer,
    debian_tree,
    inherited_apt_settings,
    remove_tree,
    require_debian_root,
    run,
    say,
    tail,
)

PROJECT = Path(__file__).resolve().parents[2]
SOURCES = PROJECT / "tests" / "engine" / "images"
STAND_IN = "stackctl.stand-in"
FINGERPRINT = "stackctl.stand-in.fingerprint"
REGISTRY_ANSWERS_WITHIN = 20.0
PULLED_WITHIN = 900.0


@dataclass(frozen=True)
class Image:
    name: str
    source: str
    """The folder in images/ that its stand-in is built from."""
    suite: str
    """The Debian suite that has this version."""
    arguments: tuple[tuple[str, str], ...] = ()
    on: str | None = None
    """The image that it is built on, if it is another of these and not a Debian."""
    parts: tuple[tuple[str, Path], ...] = ()
    """Folders of this project that its Dockerfile copies from, by their names there."""

    @property
    def base(self) -> str:
        return self.on or base_name(self.suite)


# Until 17 the data and the volume are in one place.
_OLD_DATA = "/var/lib/postgresql/data"

IMAGES = (
    Image("postgres:18", "postgres", "forky", (("MAJOR", "18"), ("PGDATA", "/var/lib/postgresql/18/docker"))),
    # An older major version, to upgrade from.
    Image("postgres:17", "postgres", "trixie", (("MAJOR", "17"), ("PGDATA", _OLD_DATA), ("DATA", _OLD_DATA))),
    Image("pgvector/pgvector:pg18", "pgvector", "forky", on="postgres:18"),
    Image("redis:8", "redis", "forky", (("MAJOR", "8"),)),
    Image("python:3.14-slim", "python", "forky", (("VERSION", "3.14"),)),
    Image("node:24-slim", "node", "forky", (("VERSION", "24"),)),
    Image("axllent/mailpit:v1.33", "mailpit", "forky", parts=(("mail", PROJECT / "stack" / "components" / "mail"),)),
    Image("rustfs/rustfs:1.0.1", "rustfs", "forky"),
    Image("caddy:2.11", "caddy", "forky", (("VERSION", "2.11"),)),
    Image("registry:2", "registry", "forky"),
)

# What no one needs in a base, left out of it.
LEFT_OUT = (
    "var/cache/apt",
    "var/lib/apt/lists",
    "var/log",
    "usr/share/doc",
    "usr/share/man",
    "usr/share/locale",
)


def ensure_images() -> None:
    refused, reason = pull(missing_images())
    if not refused:
        return
    need = f"No registry gives {', '.join(image.name for image in refused)}: {reason}"
    say(need)
    require_debian_root(need, "Give the engine a way to a registry")
    say("building stand-ins from Debian's packages (about two minutes)")
    with alone():
        # Another run may have built them meanwhile.
        missing = missing_images()
        for suite in sorted({image.suite for image in missing}):
            ensure_base(suite)
        for round_ in ([image for image in missing if not image.on], [image for image in missing if image.on]):
            with ThreadPoolExecutor() as builders:
                # list() waits for all and raises what the first failed one raised.
                list(builders.map(build, round_))


def missing_images() -> list[Image]:
    known = labels([image.name for image in IMAGES])
    return [image for image in IMAGES if not is_there(image, known.get(image.name))]


def is_there(image: Image, found: dict[str, str] | None) -> bool:
    """An official image is always good; a stand-in is while its sources are the same."""
    return found is not None and (STAND_IN not in found or found.get(FINGERPRINT) == image_fingerprint(image))


def labels(names: list[str]) -> dict[str, dict[str, str]]:
    """The labels of those of these images that are here."""
    inspected = answer(["docker", "image", "inspect", *names]).stdout
    images = json.loads(inspected or "[]")
    return {tag: image["Config"].get("Labels") or {} for image in images for tag in image["RepoTags"]}


def pull(images: list[Image]) -> tuple[list[Image], str]:
    """Pull what a registry gives: what it does not give, and why. The first refusal answers for all the rest."""
    for position, image in enumerate(images):
        if refusal := pull_refusal(image.name):
            return images[position:], refusal
        say(f"{image.name} pulled")
    return [], ""


def pull_refusal(name: str) -> str:
    """Why no registry gives this image; empty once it is here.

    The wait is short for the registry's first word, and long for a pull that has begun.
    """
    with subprocess.Popen(
        ["docker", "pull", name],
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    ) as puller:
        said = ""
        if puller.stdout and select.select([puller.stdout], [], [], REGISTRY_ANSWERS_WITHIN)[0]:
            with contextlib.suppress(subprocess.TimeoutExpired):
                said, _ = puller.communicate(timeout=PULLED_WITHIN)
        puller.kill()
    return "" if puller.returncode == 0 else tail(said, 1) or "it gives no answer"


def base_name(suite: str) -> str:
    return f"stackctl-stand-in-base:{suite}"


def base_fingerprint(suite: str) -> str:
    certificates = CERTIFICATES.read_bytes() if CERTIFICATES.exists() else b""
    return fingerprint(SOURCES / "base", suite.encode(), certificates, inherited_apt_settings().encode())


def image_fingerprint(image: Image) -> str:
    below = [image_fingerprint(other) for other in IMAGES if other.name == image.on] or [base_fingerprint(image.suite)]
    parts = [file.read_bytes() for _, folder in image.parts for file in sorted(folder.glob("*.py"))]
    return fingerprint(SOURCES / image.source, below[0].encode(), repr(image.arguments).encode(), *parts)


def fingerprint(folder: Path, *others: bytes) -> str:
    digest = hashlib.sha256()
    for path in sorted(path for path in folder.rglob("*") if path.is_file()):
        for part in (str(path.relative_to(folder)).encode(), f"{path.stat().st_mode & 0o111:o}".encode()):
            digest.update(part + b"\0")
        digest.update(hashlib.sha256(path.read_bytes()).digest())
    for other in others:
        digest.update(hashlib.sha256(other).digest())
    return digest.hexdigest()


def ensure_base(suite: str) -> None:
    name, wanted = base_name(suite), base_fingerprint(suite)
    if labels([name]).get(name, {}).get(FINGERPRINT) == wanted:
        return
    say(f"building the stand-ins' base from Debian {suite} (about 20 s)")
    tree = debian_tree(suite, ["ca-certificates"])
    try:
        run(["cp", "-R", "--preserve=mode", f"{SOURCES / 'base'}/.", str(tree)])
        (tree / "etc/apt/apt.conf.d/90machine").write_text(inherited_apt_settings())
        if CERTIFICATES.exists():
            # The machine's own: it may trust a proxy between it and the package index.
            (tree / "etc/ssl/certs/ca-certificates.crt").write_bytes(CERTIFICATES.read_bytes())
        import_tree(tree, name, {STAND_IN: "true", FINGERPRINT: wanted})
    finally:
        remove_tree(tree)


def import_tree(tree: Path, name: str, labelled: dict[str, str]) -> None:
    changes = ['--change=CMD ["bash"]', *(f"--change=LABEL {key}={value}" for key, value in labelled.items())]
    left_out = [f"--exclude=./{path}/*" for path in LEFT_OUT]
    # Beside the tree and named like it, so that a killed run's is removed as its tree is.
    archive = tree.with_suffix(".tar")
    try:
        run(["tar", f"--file={archive}", "--create", "--numeric-owner", f"--directory={tree}", *left_out, "."])
        run(["docker", "import", *changes, str(archive), name])
    finally:
        archive.unlink(missing_ok=True)


def build(image: Image) -> None:
    arguments = {"BASE": image.base, **dict(image.arguments)}
    run(
        ["docker", "build", "--tag", image.name, "--label", f"{STAND_IN}=true"]
        + ["--label", f"{FINGERPRINT}={image_fingerprint(image)}"]
        + [f"--build-arg={key}={value}" for key, value in arguments.items()]
        + [f"--build-context={name}={folder}" for name, folder in image.parts]
        + [str(SOURCES / image.source)]
    )
    say(f"{image.name} built")
