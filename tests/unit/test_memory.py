"""The memory of a container is read from its own cgroup, or not at all."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from stack.engines.docker.memory import of_container
from stack.engines.memory import of_processes

ID = "f44fd899e3ae"
V2 = f"0::/system.slice/docker-{ID}.scope\n"
V1 = f"4:cpu,memory:/docker/{ID}\n1:cpu:/docker/{ID}\n"


def machine(folder: Path, cgroup: str) -> tuple[Path, Path]:
    """What the kernel shows of process 7, and of two containers."""
    proc, cgroups = folder / "proc", folder / "cgroup"
    (proc / "7").mkdir(parents=True)
    (proc / "7" / "cgroup").write_text(cgroup, encoding="utf-8")
    for path, usage, droppable in (
        (f"system.slice/docker-{ID}.scope", "memory.current", "inactive_file"),
        (f"memory/docker/{ID}", "memory.usage_in_bytes", "total_inactive_file"),
    ):
        (cgroups / path).mkdir(parents=True)
        (cgroups / path / usage).write_text("5000\n", encoding="utf-8")
        (cgroups / path / "memory.stat").write_text(f"anon 1\n{droppable} 2000\n", encoding="utf-8")
    return proc, cgroups


@pytest.mark.parametrize("cgroup", [V1, V2, "9:pids:/docker/else\n" + V2], ids=["version 1", "version 2", "both"])
def test_it_is_what_cannot_be_dropped(tmp_path: Path, cgroup: str) -> None:
    assert of_container(7, ID, *machine(tmp_path, cgroup)) == 3000


@pytest.mark.parametrize(
    "cgroup",
    ["0::/user.slice/shell.scope\n", "4:memory:/\n", f"1:cpu:/docker/{ID}\n", f"0::/elsewhere/{ID}\n", ""],
    ids=["another program's", "the root's", "no memory", "no such folder", "nothing"],
)
def test_a_process_that_is_not_the_containers_tells_nothing(tmp_path: Path, cgroup: str) -> None:
    assert of_container(7, ID, *machine(tmp_path, cgroup)) is None


def test_a_process_that_is_gone_tells_nothing(tmp_path: Path) -> None:
    assert of_container(8, ID, *machine(tmp_path, V2)) is None
    with subprocess.Popen([sys.executable, "-c", ""]) as ended:
        ended.wait()
    assert of_processes(ended.pid) is None


def test_a_process_counts_with_its_children() -> None:
    mine = of_processes(os.getpid())
    program = "import sys; held = bytes(range(256)) * 200_000; print(flush=True); sys.stdin.read()"
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        assert child.stdout is not None
        child.stdout.readline()
        both = of_processes(os.getpid())
        child.communicate()
    assert mine is not None
    assert both is not None
    assert both - mine > 40_000_000
