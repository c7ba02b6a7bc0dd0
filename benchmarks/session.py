"""What the rows of one run share: how long they measure, and the instances that they measure on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from functools import cached_property

from benchmarks.compose_project import ComposeProject, compose_project
from benchmarks.instance import Instance, running

_TABLE = "CREATE TABLE plain_counter (page text PRIMARY KEY, visits bigint NOT NULL)"
# As a shop has it: keys, numbers and times, words that come again, what comes only once, and two indexes.
_ORDERS = """
SELECT setseed(0.5);
CREATE TABLE orders AS
SELECT
    n AS id,
    gen_random_uuid() AS customer,
    timestamptz '2024-01-01' + n * interval '71 seconds' + random() * interval '1 minute' AS placed,
    (random() * random() * 900 + 5)::numeric(10, 2) AS amount,
    (ARRAY['new', 'paid', 'sent', 'sent', 'sent', 'returned'])[1 + floor(random() * 6)::int] AS status,
    (
        SELECT string_agg(words[1 + floor(random() * random() * array_length(words, 1) + 0 * w)::int], ' ')
        FROM generate_series(1, 4 + n % 27) AS w
    ) AS note,
    jsonb_build_object('sku', substr(md5(random()::text), 1, 10), 'number', 1 + n % 5, 'gift', n % 17 = 0) AS item
FROM
    generate_series(1, {rows}) AS n,
    (SELECT array_agg(DISTINCT substr(md5(w::text), 1, 2 + w % 9)) AS words FROM generate_series(1, 4000) AS w);
ALTER TABLE orders ADD PRIMARY KEY (id);
CREATE INDEX ON orders (customer);
CREATE INDEX ON orders (placed);
VACUUM ANALYZE orders;
"""


@dataclass
class Session:
    """`rounds` of each measurement, each of `seconds`. Instances come up when they are first asked for."""

    engine: str
    rounds: int
    seconds: int
    _resources: ExitStack = field(default_factory=ExitStack)

    @cached_property
    def contenders(self) -> Instance:
        """The service beside what it is compared with."""
        apps = ("web", "alone", "plain", "empty")
        instance = self._resources.enter_context(running("benchmarks/stack.py", self.engine, apps))
        instance.exec("db", "psql", "-U", "student", "-d", "student_notes", "-qc", _TABLE)
        return instance

    @cached_property
    def playground(self) -> Instance:
        """The bundled stack on the engine of this run."""
        return self.playground_on(self.engine)

    def playground_on(self, engine: str) -> Instance:
        """Another playground, on an engine of its own."""
        return self._resources.enter_context(running("stack/playground.py", engine, ("web",)))

    @cached_property
    def noted(self) -> Instance:
        """Another playground, whose app has a variable of which a command gives the value."""
        return self._resources.enter_context(running("benchmarks/noted.py", self.engine, ("web",)))

    @cached_property
    def filled(self) -> Instance:
        """Another playground, whose database holds a few hundred MB, and a few in a run that is to be quick."""
        instance = self.playground_on(self.engine)
        words = ("psql", "-U", "student", "-d", "student_notes", "-qv", "ON_ERROR_STOP=1", "-o", "/dev/null", "-f", "-")
        instance.exec("db", *words, text=_ORDERS.format(rows=10_000 if self.rounds == 1 else 800_000))
        return instance

    @cached_property
    def by_hand(self) -> ComposeProject:
        """The same stack in a file that somebody wrote for Docker Compose, with its image built."""
        return self._resources.enter_context(compose_project())

    @cached_property
    def replicas(self) -> Instance:
        """The service four times."""
        return self._resources.enter_context(
            running("benchmarks/replicas.py", self.engine, ("web", "web2", "web3", "web4"))
        )


@contextmanager
def session(engine: str, rounds: int, seconds: int) -> Iterator[Session]:
    """A session, whose instances are deleted in the end."""
    opened = Session(engine, rounds, seconds)
    with opened._resources:
        yield opened
