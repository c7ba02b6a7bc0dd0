"""Save and load the append-only file of a durable Redis: as files, because no other server need read them."""

from __future__ import annotations

from dataclasses import dataclass

from stack.capabilities import Access
from stack.errors import StackError
from stack.progress import Progress
from stack.snapshots.archive import Archive
from stack.snapshots.manifest import Saved
from stack.snapshots.volumes import VolumeFiles


@dataclass(frozen=True)
class RedisFiles(VolumeFiles):
    """The folder of one server. Containers run Redis and processes Valkey, which can't read each other's files."""

    product: str = "Redis"

    def load(
        self, access: Access, archive: Archive, saved: Saved, password: str, accepts: bool, progress: Progress
    ) -> None:
        if saved.details["target"] == access.target:
            super().load(access, archive, saved, password, accepts, progress)
        elif not accepts:
            raise StackError(
                "snapshot-loses",
                f"{self.component}: its keys would be lost here: they were saved on the other engine, whose server has "
                "another format; nothing was touched",
                "run it again with --accept-loss to begin with none",
            )
