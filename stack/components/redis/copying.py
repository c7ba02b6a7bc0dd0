"""Save, load and copy the files of a durable Redis."""

from __future__ import annotations

import re

from stack.copying import FileCopy
from stack.errors import StackError
from stack.frozen import dataclass
from stack.snapshots.volumes import ServerFiles

_FOLDER = "appendonlydir"
_MANIFEST = f"{_FOLDER}/appendonly.aof.manifest"
_FILE = re.compile(r"^file (\S+) seq ", re.MULTILINE)
_TRIES = 5


@dataclass(frozen=True)
class RedisFiles(ServerFiles):
    """The log of changes, in a few files that its manifest lists: what was written of it before is in a copy of them.

    A server that reads a log which ends in the middle of a change leaves that change out.
    """

    def copy_files(self, files: FileCopy) -> None:
        """Copy the files that the manifest lists; again, if the server has begun with others meanwhile."""
        files.copy(leave_out=[_FOLDER])
        for _ in range(_TRIES):
            if (listed := files.read(_MANIFEST)) is None:
                return
            files.copy_files(_FOLDER, _FILE.findall(listed))
            if files.read(_MANIFEST) == listed:
                files.write(_MANIFEST, listed)
                return
        raise StackError(
            "branch-failed",
            f"{self.component}: the server rewrites its log again and again; nothing was changed",
            "run this again when it is less busy",
        )
