"""A Docker Engine for a machine that has none, run from a Debian tree of its own.

The machine may be older than the engine: its C library would not carry the engine's programs. So these live in a
tree of a newer Debian, and the daemon runs in a mount namespace whose `/usr` is the tree's. Its root is still the
machine's, so that a path in a bind mount means the machine's file.
"""

from __future__ import annotations

import os
import select
import shutil
import signal
import subprocess
import time
from pathlib import Path

from tests.engine.machine import (
    CACHE,
    DOCKER_CONFIG,
    ENVIRONMENT,
    IN_NAMESPACE,
    Problem,
    alone,
    answer,
    debian_tree,
    require_debian_root,
    say,
    tail,
)

SUITES = ("forky", "trixie")
PACKAGES = ("ca-certificates", "docker.io", "docker-cli", "docker-compose", "docker-buildx", "iptables")
PLUGINS = ("compose", "buildx")

DATA = CACHE / "data"
LOG = CACHE / "daemon.log"
RECORD = CACHE / "daemon.pid"
STATE = Path("/run/stackctl-engine")
SOCKET = "unix:///var/run/docker.sock"

DAEMON = (
    "/usr/sbin/dockerd",
    f"--data-root={DATA}",
    f"--exec-root={STATE}",
    f"--host={SOCKET}",
    # RECORD is enough, and dockerd would believe a pid file that another boot left behind.
    "--pidfile=",
    # By default there are ranges for about 30 networks, fewer than three workers with large stacks need.
    "--default-address-pool=base=10.192.0.0/12,size=24",
    "--log-level=warn",
)

# `iptables` and its kin are links through /etc/alternatives, which an older machine may lack.
ENTER_TREE = """
set -e
mount --bind "$1/usr" /usr
mount --bind "$1/etc/alternatives" /etc/alternatives
shift
exec "$@"
"""

READY_WITHIN = 60.0
STOPPED_WITHIN = 60.0


def ensure_engine() -> None:
    if shutil.which("docker", path=ENVIRONMENT["PATH"]) is None:
        raise Problem("There is no `docker` command. Install Docker's client (https://docs.docker.com/get-docker/).")
    refusal = daemon_refusal()
    missing = missing_plugins()
    if not refusal and not missing:
        return
    if refusal and (host := os.environ.get("DOCKER_HOST", SOCKET)) != SOCKET:
        raise Problem(f"DOCKER_HOST is {host}, and no engine answers there:\n{refusal}")
    needs = [f"No Docker Engine answers: {refusal}"] if refusal else []
    needs += [f"The docker client lacks the plugin {plugin}." for plugin in missing]
    for need in needs:
        say(need)
    require_debian_root(
        "\n".join(needs), "Install Docker with Compose and start it (https://docs.docker.com/get-docker/)"
    )
    with alone():
        tree = ensure_tree()
        install_plugins(tree)
        if daemon_refusal():
            start_daemon(tree)
    say(description())


def description() -> str:
    version = answer(["docker", "version", "--format", "{{.Server.Version}}"]).stdout.strip()
    compose = answer(["docker", "compose", "version", "--short"]).stdout.strip()
    return f"Docker Engine {version} answers; Compose {compose}"


def daemon_refusal() -> str:
    """Why no daemon answers; empty where one does."""
    asked = answer(["docker", "version", "--format", "{{.Server.Version}}"])
    return "" if asked.returncode == 0 else tail(asked.stderr) or "no reason given"


def missing_plugins() -> list[str]:
    return [plugin for plugin in PLUGINS if answer(["docker", plugin, "version"]).returncode != 0]


def ensure_tree() -> Path:
    """The newest tree there is, or a new one. A tree gets its name only when it is whole."""
    trees = {suite: CACHE / f"engine-{suite}" for suite in SUITES}
    for tree in trees.values():
        if tree.is_dir():
            return tree
    problems = []
    for suite, tree in trees.items():
        say(f"building the engine's tree from Debian {suite} in {tree} (about half a minute)")
        try:
            return debian_tree(suite, PACKAGES).rename(tree)
        except Problem as problem:
            problems.append(f"{suite}: {problem}")
    raise Problem("No Debian suite gave an engine.\n" + "\n".join(problems))


def install_plugins(tree: Path) -> None:
    """The client's plugins are static enough to run on the machine itself."""
    folder = DOCKER_CONFIG / "cli-plugins"
    folder.mkdir(parents=True, exist_ok=True)
    for plugin in missing_plugins():
        name = f"docker-{plugin}"
        new = folder / f".{name}.new"
        shutil.copy2(tree / "usr/libexec/docker/cli-plugins" / name, new)
        new.replace(folder / name)
    if broken := missing_plugins():
        raise Problem(f"The plugins in {folder} do not run here: {', '.join(broken)}.")


def start_daemon(tree: Path) -> None:
    if (running := recorded_daemon()) is not None:
        raise Problem(f"The engine's daemon runs (process {running}) and does not answer; see {LOG}, or `stop` it.")
    forget_dead_containerd()
    DATA.mkdir(mode=0o710, exist_ok=True)
    say("starting the daemon")
    with LOG.open("w") as log:
        daemon = subprocess.Popen(
            [*IN_NAMESPACE, "sh", "-c", ENTER_TREE, "enter-tree", str(tree), *DAEMON],
            env=ENVIRONMENT,
            cwd="/",
            stdin=subprocess.DEVNULL,
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    # unshare and sh become dockerd by exec, so this is its process number too.
    RECORD.write_text(f"{daemon.pid}\n")
    wait_until_ready(daemon)


def wait_until_ready(daemon: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + READY_WITHIN
    while daemon_refusal():
        if time.monotonic() > deadline:
            raise Problem(f"The daemon did not answer within {READY_WITHIN:.0f} s. {LOG} ends with:\n{log_tail()}")
        try:
            daemon.wait(0.1)
        except subprocess.TimeoutExpired:
            continue
        raise Problem(f"The daemon ended by itself. {LOG} ends with:\n{log_tail()}")


def log_tail() -> str:
    return tail(LOG.read_text(errors="replace"))


def forget_dead_containerd() -> None:
    """dockerd takes any living process with containerd's old number for containerd, and waits for it in vain."""
    record = STATE / "containerd" / "containerd.pid"
    if record.exists() and not any(str(STATE) in word for word in command_line(record.read_text().strip())):
        record.unlink()


def recorded_daemon() -> int | None:
    """The daemon that `start` started from this cache, if it still runs."""
    try:
        pid = RECORD.read_text().strip()
    except FileNotFoundError:
        return None
    return int(pid) if f"--data-root={DATA}" in command_line(pid) else None


def command_line(pid: str) -> list[str]:
    try:
        return Path("/proc", pid, "cmdline").read_text(errors="replace").split("\0")
    except OSError:
        return []


def stop_daemon() -> bool:
    """Stop what `start` started and nothing else; False where there is nothing to stop."""
    if (pid := recorded_daemon()) is None:
        RECORD.unlink(missing_ok=True)
        return False
    try:
        handle = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        # From here on the handle means one process for good: ask once more who it is before the signal.
        if recorded_daemon() == pid:
            signal.pidfd_send_signal(handle, signal.SIGTERM)
            if not select.select([handle], [], [], STOPPED_WITHIN)[0]:
                raise Problem(f"The daemon (process {pid}) did not stop within {STOPPED_WITHIN:.0f} s; see {LOG}.")
    finally:
        os.close(handle)
    RECORD.unlink(missing_ok=True)
    return True
