"""The users of servers keep their names, whatever becomes of the users of the machine: see `lost_names.py`."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli import ROOT
from tests.embedded import lost_names
from tests.servers import MISSING

pytestmark = [
    pytest.mark.skipif(MISSING is not None, reason=str(MISSING)),
    pytest.mark.skipif(os.geteuid() != 0, reason="a plain user's instances run as that user"),
]
# In a mount namespace of its own, with a copy in the place of `/etc`.
APART = ("unshare", "--mount", "sh", "-c", 'mount --bind "$1" /etc && shift && exec "$@"', "sh")


@pytest.mark.long
def test_a_name_that_is_lost_is_found_again(tmp_path: Path) -> None:
    etc = tmp_path / "etc"
    shutil.copytree("/etc", etc, symlinks=True)
    own = {name: value for name, value in os.environ.items() if not name.startswith("PYTEST_")}
    tests = [sys.executable, "-m", "pytest", "-p", "no:schemathesis", "-p", "no:cacheprovider", lost_names.__file__]
    ended = subprocess.run([*APART, str(etc), *tests], cwd=ROOT, env=own, capture_output=True, text=True, check=False)
    assert ended.returncode == 0, f"{ended.stdout}\n{ended.stderr}"
    assert "4 passed" in ended.stdout
    assert "stackctl" not in Path("/etc/passwd").read_text(encoding="utf-8")
