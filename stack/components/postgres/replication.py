"""Keep a standby of a PostgreSQL, and let it take the place of its primary; see `stack.replication.Replication`."""

from __future__ import annotations

import json
import threading
import time

from stack.capabilities import Session
from stack.components.postgres.fields import ADMIN
from stack.components.postgres.standby_scripts import COPY, HOLDS_ALL, PROMOTE, PROTECT, STANDBY_PLACE
from stack.errors import StackError
from stack.frozen import dataclass
from stack.references import SecretReference
from stack.replication import Following, StandbyState

_POLL = 0.2
_PROMOTED_WITHIN = 90.0
# An acknowledged visit is on the disk of the standby, and may not be visible there yet.
_FOLLOWING = """
SELECT json_build_object(
    'armed', current_setting('synchronous_standby_names') <> '',
    'waiting', (SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'),
    'standby', (SELECT json_build_object(
        'state', state, 'sync', sync_state,
        'behind', greatest(pg_wal_lsn_diff(pg_current_wal_flush_lsn(), flush_lsn), 0),
        'seconds', coalesce(extract(epoch FROM replay_lag), 0))
        FROM pg_stat_replication WHERE application_name LIKE '{standby}-%' AND state IN ('streaming', 'catchup')
        ORDER BY sync_state = 'sync' DESC, backend_start DESC LIMIT 1)
)
"""


@dataclass(frozen=True)
class PostgresReplication:
    """See `stack.replication.Replication`."""

    standby: str
    synchronous: bool
    secret: SecretReference

    def protect(self, primary: Session, standby: Session, within: float) -> None:
        if not (self.following(primary).protected and self.holds_all(standby)):
            copy = standby.run(["sh", "-c", f'cat "$PGDATA/{COPY}"'])
            name = f"{self.standby}-{copy.stdout.strip()}"
            done = primary.run(["sh", "-c", PROTECT, "sh", name]) if copy.ok else copy
            if not done.ok:
                raise StackError(
                    "standby-late",
                    f"{primary.component} could not be told to wait for its standby",
                    f"look at `stackctl logs {primary.component}`, and run `stackctl up` again",
                    done.stderr,
                )
        deadline, pause = time.monotonic() + within, threading.Event()
        while not (self.following(primary).protected and self._is_sure(standby)):
            if time.monotonic() > deadline:
                raise StackError(
                    "standby-late",
                    f"{self.standby} does not follow {primary.component} after {within:g} s, which waits for it",
                    f"look at `stackctl logs {self.standby}`, and run `stackctl up` again; "
                    'with standby="async" nothing waits',
                )
            pause.wait(_POLL)

    def following(self, primary: Session) -> Following:
        question = _FOLLOWING.format(standby=self.standby)
        answer = primary.run(["psql", "-X", "-q", "-A", "-t", "-w", "-U", ADMIN, "-d", "postgres", "-c", question])
        if not answer.ok:
            said = (answer.stderr or answer.stdout).strip()
            raise StackError(
                "query-failed",
                f"{primary.component}: {said}",
                f"look at `stackctl logs {primary.component}`",
            )
        return read_following(answer.stdout, self.synchronous)

    def holds_all(self, standby: Session) -> bool:
        return standby.run(["sh", "-c", f'test -e "$PGDATA/{HOLDS_ALL}"']).ok

    def promote(self, standby: Session) -> None:
        done = standby.run(["sh", "-c", PROMOTE], _PROMOTED_WITHIN)
        if not done.ok:
            raise StackError(
                "not-promoted",
                f"{self.standby} did not take the place of its primary",
                f"look at `stackctl logs {self.standby}`, and run the command again",
                done.stderr or done.stdout,
            )

    def _is_sure(self, standby: Session) -> bool:
        """Let a standby look whether it has all; what it finds is on its disk."""
        standby.run(["sh", STANDBY_PLACE, "check"])
        return self.holds_all(standby)


def read_following(answer: str, synchronous: bool) -> Following:
    """Interpret what a primary says of its standby: pure."""
    found = json.loads(answer)
    standby, armed = found["standby"], bool(found["armed"])
    if standby is None:
        return Following("absent", protected=False, waiting=found["waiting"], armed=armed)
    state: StandbyState = "streaming" if standby["state"] == "streaming" else "catching-up"
    protected = synchronous and armed and standby["sync"] == "sync"
    return Following(state, protected, int(standby["behind"]), float(standby["seconds"]), found["waiting"], armed)
