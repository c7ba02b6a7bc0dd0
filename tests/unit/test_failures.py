"""What Docker writes, as recorded, and what stackctl makes of it."""

from __future__ import annotations

import pytest

from stack.engines.docker import failures

# Recorded from Docker 28 with Compose 2.40, unless another is named.
RECORDED = {
    "docker-daemon": [
        "Cannot connect to the Docker daemon at unix:///var/run/docker.sock. Is the docker daemon running?",
        'error during connect: Get "http://%2F%2F.%2Fpipe%2FdockerDesktopLinuxEngine/v1.51/version": '
        "open //./pipe/dockerDesktopLinuxEngine: The system cannot find the file specified.",
        "failed to connect to the docker API at unix:///var/run/docker.sock; check if the path is correct and if the "
        "daemon is running: dial unix /var/run/docker.sock: connect: no such file or directory",  # Docker 29
        'unable to resolve docker endpoint: context "gone": context not found: open '
        "/root/.docker/contexts/meta/x/meta.json: no such file or directory",
    ],
    "docker-permission": [
        "permission denied while trying to connect to the Docker daemon socket at unix:///var/run/docker.sock: "
        'Get "http://%2Fvar%2Frun%2Fdocker.sock/v1.51/version": dial unix /var/run/docker.sock: connect: '
        "permission denied",
        "permission denied while trying to connect to the docker API at unix:///var/run/docker.sock",  # Docker 29
    ],
    "compose-missing": [
        "docker: 'compose' is not a docker command.\nSee 'docker --help'",  # Docker 24
        "docker: unknown command: docker compose\n\nRun 'docker --help' for more information",
        "unknown flag: --project-name\n\nUsage:  docker [OPTIONS] COMMAND [ARG...]",
    ],
    "port-taken": [
        "Error response from daemon: driver failed programming external connectivity on endpoint x-web-1 (4f): Bind "
        "for 127.0.0.1:8000 failed: port is already allocated",
        "Error response from daemon: failed to set up container networking: driver failed programming external "
        "connectivity on endpoint x-web-1: failed to bind host port for 127.0.0.1:8000:172.18.0.2:8000/tcp: "
        "address already in use",
        "Error response from daemon: Ports are not available: exposing port TCP 127.0.0.1:8000 -> 0.0.0.0:0: listen "
        "tcp 127.0.0.1:8000: bind: address already in use",  # Docker Desktop
    ],
    "image-unavailable": [
        "Error response from daemon: pull access denied for nothing/like-this, repository does not exist or may "
        "require 'docker login': denied: requested access to the resource is denied",
        "Error response from daemon: manifest for postgres:99 not found: manifest unknown: manifest unknown",
        "ERROR: failed to solve: python:9-slim: failed to resolve source metadata for "
        "example.test/library/python:9-slim: example.test/library/python:9-slim: not found",
        'Error response from daemon: Get "https://example.test/v2/": dial tcp: lookup example.test on 10.0.0.1:53: '
        "no such host",
        "no matching manifest for linux/riscv64 in the manifest list entries",
        "ERROR: failed to solve: example.test/elsewhere:1: no match for platform in manifest: not found",
    ],
    "disk-full": [
        "failed to register layer: write /usr/lib/libLLVM.so: no space left on device",
    ],
    "network-exhausted": [
        "failed to create network x_backend: Error response from daemon: all predefined address pools have been fully "
        "subnetted",
        "failed to create network x_backend: Error response from daemon: could not find an available, non-overlapping "
        "IPv4 address pool among the defaults to assign to the network",
    ],
}


@pytest.mark.parametrize(("code", "text"), [(code, text) for code, texts in RECORDED.items() for text in texts])
def test_a_known_text_is_told_apart(code: str, text: str) -> None:
    error = failures.classify(text, "other", "something failed", "look")
    assert error.code == code
    assert error.hint, "an error says what to do"


def test_address_ranges_are_freed_by_what_has_them() -> None:
    error = failures.classify(RECORDED["network-exhausted"][0], "other", "something failed", "look")
    assert error.message == "Docker has given all of its address ranges to networks, and has none for another one"
    for remedy in ("`docker network prune`", "`stackctl ls`", "`default-address-pools`"):
        assert remedy in error.hint


PULLS = {
    # The first two are recorded from Compose 2.40 with `--quiet-pull`: the component, then the daemon's answer without
    # the image. The others are that form with what the daemon answers for an image that does not exist.
    "no such host": """ db Pulling
 db Error Get "https://example.test/v2/": dial tcp: lookup example.test on 10.0.0.1:53: no such host
Error response from daemon: Get "https://example.test/v2/": dial tcp: lookup example.test on 10.0.0.1:53: no such host
""",
    "connection refused": """ db Pulling
 db Error Get "http://localhost:5999/v2/": dial tcp 127.0.0.1:5999: connect: connection refused
Error response from daemon: Get "http://localhost:5999/v2/": dial tcp 127.0.0.1:5999: connect: connection refused
""",
    "manifest unknown": "Error response from daemon: manifest for postgres:42 not found: manifest unknown: "
    "manifest unknown\n",
    "another is interrupted": """ cache Pulling
 db Pulling
 db Error manifest for postgres:42 not found: manifest unknown: manifest unknown
 cache Interrupted
Error response from daemon: manifest for postgres:42 not found: manifest unknown: manifest unknown
""",
    "pull access denied": """ db Error pull access denied for postgres, repository does not exist
Error response from daemon: pull access denied for postgres, repository does not exist or may require 'docker login'
""",
}


@pytest.mark.parametrize("text", PULLS.values(), ids=PULLS)
def test_an_image_that_cannot_be_pulled_is_named_with_its_component(text: str) -> None:
    images = {"db": "postgres:42", "cache": "redis:8", "web": "shop-web"}
    error = failures.of_start(text, images, failures.classify(text, "docker-failed", "failed", "look"))
    assert error.code == "image-unavailable"
    assert error.message == "an image is neither on this machine nor can be pulled: postgres:42 of db"


# Recorded from Compose 2.40, of two components that are built at once.
STEP_FAILED = """#10 [ok] resolving provenance for metadata file
#9 [web 2/2] RUN make
#9 0.627 /bin/sh: 1: make: not found
#9 ERROR: process "/bin/sh -c make" did not complete successfully: exit code: 127
------
 > [web 2/2] RUN make:
0.627 /bin/sh: 1: make: not found
------
"""
BASE_MISSING = """------
 > [web internal] load metadata for docker.io/nosuch/base:1:
------
target web: failed to solve: nosuch/base:1: failed to resolve source metadata for docker.io/nosuch/base:1: not found
"""
BUILDS = [
    (f'{STEP_FAILED}target web: failed to solve: process "/bin/sh -c make" did not complete\n', ["ok", "web"]),
    (f'{STEP_FAILED}failed to solve: process "/bin/sh -c make" did not complete\n', ["ok", "web"]),
    (f'{STEP_FAILED}failed to solve: process "/bin/sh -c make" did not complete\n'.replace("[web ", "["), ["web"]),
    ("target web: failed to solve: dockerfile parse error on line 1: unknown instruction: FRUM\n", ["ok", "web"]),
]


@pytest.mark.parametrize(("text", "built"), BUILDS)
def test_a_build_that_fails_names_its_component(text: str, built: list[str]) -> None:
    error = failures.classify(text, "build-failed", "an image could not be built", "look")
    error = failures.of_build(text, built, error)
    assert error.message == "the image of web could not be built"


def test_a_base_image_that_cannot_be_pulled_is_named_with_the_component() -> None:
    error = failures.classify(BASE_MISSING, "build-failed", "an image could not be built", "look")
    assert failures.of_build(BASE_MISSING, ["ok", "web"], error).message == (
        "an image is neither on this machine nor can be pulled: nosuch/base:1, in the build of web"
    )


def test_an_unknown_text_is_shown_as_it_is() -> None:
    text = 'time="2026-01-02" level=warning msg="obsolete"\n Container x-db-1  Running\n\nError: the moon is full\n'
    error = failures.classify(text, "docker-failed", "`docker compose up` failed", "look")
    assert (error.code, error.message, error.output) == (
        "docker-failed",
        "`docker compose up` failed",
        "Error: the moon is full",
    )


@pytest.mark.parametrize(
    ("text", "version"),
    [
        ("2.40.3-desktop.1\n", (2, 40, 3)),
        ("v2.24.0", (2, 24, 0)),
        ("2.40.3+ds1-3", (2, 40, 3)),
        ("5.0.1", (5, 0, 1)),
        ("1.44", (1, 44, 0)),
        ("dev", ()),
        ("", ()),
    ],
)
def test_versions_are_read_as_docker_writes_them(text: str, version: tuple[int, ...]) -> None:
    assert failures.version_of(text) == version
