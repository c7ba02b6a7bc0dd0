"""What the engine's scripts need of the machine: its commands, its Debian mirror, its certificates."""

from __future__ import annotations

import fcntl
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

CACHE = Path(os.environ.get("STACKCTL_ENGINE_CACHE") or "/var/cache/stackctl-engine").absolute()
DOCKER_CONFIG = Path(os.environ.get("DOCKER_CONFIG") or Path.home() / ".docker")
CERTIFICATES = Path("/etc/ssl/certs/ca-certificates.crt")

# Administration commands are not on every PATH, and apt must never ask a question.
ENVIRONMENT = {
    **os.environ,
    "PATH": os.environ.get("PATH", "/usr/bin:/bin") + ":/usr/local/sbin:/usr/sbin:/sbin",
    "LC_ALL": "C.UTF-8",
    "DEBIAN_FRONTEND": "noninteractive",
}

# What is mounted in a namespace of its own is unseen outside and goes with its last process; what the machine
# mounts later is seen inside.
IN_NAMESPACE = ("unshare", "--mount", "--propagation", "slave")

# The same for a command that must not outlive this program, even one that is killed: what it started goes with it.
# Otherwise the next run would remove a tree that an orphan still writes.
WHILE_THIS_RUNS = ("setpriv", "--pdeathsig", "KILL", *IN_NAMESPACE, "--pid", "--fork", "--kill-child", "--mount-proc")

# What apt needs to reach the mirror on this machine, and so needs in a stand-in too.
INHERITED_APT_SETTINGS = ("Acquire::Check-Valid-Until ", "Acquire::http::Proxy ", "Acquire::https::Proxy ")

# A new machine may be updating itself: its apt is waited for.
APT_INSTALL = ("apt-get", "install", "--yes", "--no-install-recommends", "--option=DPkg::Lock::Timeout=120")

# How apt names what it takes from the Debian archive itself, whatever the format of its sources.
DEBIAN_MAIN = ("Created-By: Packages", "Origin: Debian", "Label: Debian", "Component: main")

_started = time.monotonic()


class Problem(Exception):
    """Something is missing or failed; the text says what, and what to do about it."""


def say(text: str) -> None:
    sys.stdout.write(f"[{time.monotonic() - _started:5.1f} s] {text}\n")
    sys.stdout.flush()


def tail(text: str, lines: int = 25) -> str:
    return "\n".join(text.rstrip().splitlines()[-lines:])


def answer(command: Sequence[str], timeout: float = 20) -> subprocess.CompletedProcess[str]:
    """Ask a command; a missing one and a silent one count as a failed one."""
    try:
        return subprocess.run(command, env=ENVIRONMENT, capture_output=True, text=True, timeout=timeout)
    except FileNotFoundError:
        return subprocess.CompletedProcess(command, 127, "", f"{command[0]}: not found")
    except subprocess.TimeoutExpired:
        return subprocess.CompletedProcess(command, 124, "", f"{command[0]}: no answer within {timeout:.0f} s")


def run(command: Sequence[str], timeout: float = 900) -> None:
    """Run a command that has to succeed; what it printed is shown only where it did not."""
    try:
        done = subprocess.run(
            command,
            env=ENVIRONMENT,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            timeout=timeout,
        )
    except FileNotFoundError:
        raise Problem(f"`{command[0]}` is not installed.") from None
    except subprocess.TimeoutExpired:
        raise Problem(f"`{' '.join(command)}` did not end within {timeout:.0f} s.") from None
    if done.returncode != 0:
        raise Problem(f"`{' '.join(command)}` ended with {done.returncode}:\n{tail(done.stdout)}")


def require_debian_root(need: str, otherwise: str) -> None:
    """Whatever changes the machine needs a Debian and its root. `need` says why, `otherwise` what else would help."""
    obstacles = []
    if platform.system() != "Linux" or shutil.which("apt-get", path=ENVIRONMENT["PATH"]) is None:
        obstacles.append("this is no Debian")
    if os.geteuid() != 0:
        obstacles.append("you are not root")
    if obstacles:
        raise Problem(
            f"{need}\nThis could be made from Debian's packages, but {' and '.join(obstacles)}.\n"
            f"{otherwise}, then try again."
        )


@contextmanager
def alone() -> Iterator[None]:
    """Let one run at a time change the cache folder. The kernel drops the lock with its process.

    The wait ends, since every step of the other run has a time limit.
    """
    CACHE.mkdir(mode=0o755, parents=True, exist_ok=True)
    with (CACHE / "lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say(f"another run works in {CACHE}; waiting for its end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        for leftover in CACHE.glob(".building-*"):
            remove_tree(leftover)
        yield


def remove_tree(tree: Path) -> None:
    run(["rm", "-rf", "--one-file-system", str(tree)])


def debian_tree(suite: str, packages: Sequence[str]) -> Path:
    """A new Debian of these packages in a temporary folder of the cache, for the caller to rename or remove."""
    mirror = debian_mirror()
    debootstrap = ensure_debootstrap()
    # An old debootstrap does not know the newest suites; they are all built as `sid` is.
    script = Path("/usr/share/debootstrap/scripts") / suite
    tree = Path(tempfile.mkdtemp(prefix=".building-", dir=CACHE))
    tree.chmod(0o755)
    suite_script = [] if script.exists() else [str(script.with_name("sid"))]
    options = ["--variant=minbase", "--force-check-gpg", f"--include={','.join(packages)}"]
    try:
        run([*WHILE_THIS_RUNS, debootstrap, *options, suite, str(tree), mirror, *suite_script])
    except Problem as problem:
        log = tree / "debootstrap" / "debootstrap.log"
        details = f"\nIts log ends with:\n{tail(log.read_text(errors='replace'))}" if log.exists() else ""
        remove_tree(tree)
        raise Problem(f"{problem}{details}") from None
    return tree


def ensure_debootstrap() -> str:
    if (found := shutil.which("debootstrap", path=ENVIRONMENT["PATH"])) is None:
        say("installing debootstrap")
        update_package_lists()
        run([*APT_INSTALL, "debootstrap", "debian-archive-keyring"])
        found = shutil.which("debootstrap", path=ENVIRONMENT["PATH"])
    if found is None:
        raise Problem("debootstrap was installed and is still not found in /usr/sbin.")
    return found


def update_package_lists() -> None:
    # A third party's broken source fails this and says nothing about Debian's: what needs the lists decides.
    answer(["apt-get", "update"], timeout=300)


def debian_mirror() -> str:
    """The address of the Debian archive that apt itself uses here."""
    for refresh in (False, True):
        if refresh:
            update_package_lists()
        targets = answer(["apt-get", "indextargets", "--format", "$(REPO_URI)", *DEBIAN_MAIN])
        if mirrors := targets.stdout.split():
            return mirrors[0]
    raise Problem(
        "apt has no usable source of the Debian archive's `main`: see /etc/apt/sources.list and\n"
        "/etc/apt/sources.list.d/, and try `apt-get update`."
    )


def inherited_apt_settings() -> str:
    dump = answer(["apt-config", "dump"]).stdout.splitlines()
    return "".join(f"{line}\n" for line in dump if line.startswith(INHERITED_APT_SETTINGS))
