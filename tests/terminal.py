"""Answer a question of `stackctl` on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess

from tests.cli import Cli


def reset_on_a_terminal(cli: Cli, answer: str) -> int:
    """Type an answer to `reset` on a terminal. Gives its exit code."""
    leader, follower = pty.openpty()
    with subprocess.Popen(
        cli.arguments("reset"), stdin=follower, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
        env=cli.whole_environment, cwd=cli.folder, text=True,
    ) as reset:  # fmt: skip
        os.write(leader, f"{answer}\n".encode())
        _, said = reset.communicate(timeout=120)
    os.close(follower)
    os.close(leader)
    assert "volumes: " in said
    assert str(cli.state) in said
    return reset.returncode
