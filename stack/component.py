"""What is common to all kinds of component: a frozen value that checks itself and says how it runs.

Constructing a wrong value raises `DeclarationError` at once, with a path to it: `web/port: 80000 is not a port
(1-65535)`. Nothing here knows an engine: a component says how it runs in a container and as a process, an engine
renders that.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import fields
from typing import Self

from stack.calls import check_call, check_name
from stack.capabilities import (
    Check,
    Client,
    DataFolder,
    DataStore,
    Dumps,
    Host,
    Login,
    Programs,
    ProgramSearch,
    Schema,
    Timetable,
)
from stack.differing import Differ
from stack.errors import DeclarationError, StackError
from stack.external import External
from stack.frozen import dataclass
from stack.parameters import Parameter
from stack.references import TRACE, Reference, SecretReference, Text, Value, is_secret
from stack.replication import Replication
from stack.workload import Target, Workload

# The fields that may hold references in a text.
_COMMANDS = ("command", "entrypoint", "process")


@dataclass(frozen=True)
class Component:
    """One declared part of a stack. Subclasses live in `stack/components/`, one file each."""

    name: str

    def __new__(cls, *arguments: object, **named: object) -> Self:
        check_call(cls, arguments, named)
        return super().__new__(cls)

    def __post_init__(self) -> None:
        check_name(type(self).__name__, self.name)
        for each in fields(self):
            value = getattr(self, each.name)
            if is_secret(value):
                raise self.misplaced(each.name)
            in_text = isinstance(value, str) and each.name not in _COMMANDS and TRACE.search(value)
            if isinstance(value, Reference | Text | Parameter) or in_text:
                raise self.wrong(each.name, "is a reference; these stand in `environment` and in `command` alone")

    def __deepcopy__(self, memo: object) -> Self:
        """Return itself: a value that does not change needs no copy, and some of its mappings have none."""
        return self

    @property
    def role(self) -> str:
        """What it is, for people: `PostgreSQL`, `Redis`, `web app`."""
        raise NotImplementedError

    @property
    def needs(self) -> tuple[str, ...]:
        """The names of the components that it uses: they are ready before it, and it reaches them."""
        return ()

    @property
    def informs(self) -> tuple[str, ...]:
        """The names of those of them whose variables it gets."""
        return self.needs

    @property
    def forwards(self) -> Mapping[str, Reference]:
        """The ports of other components that it passes connections on to, by what stands for each in its field."""
        return {}

    def relation(self, name: str) -> str:
        """Return the field in which it names a component that it needs or reaches."""
        if name in self.reached:
            return "reaches"
        return "uses" if name in self.informs else "after"

    @property
    def externals(self) -> tuple[External, ...]:
        """The servers that stackctl does not run and whose variables it gets."""
        return ()

    @property
    def reached(self) -> tuple[str, ...]:
        """The names of the components that it reaches besides, whichever of them is ready first."""
        return ()

    @property
    def reads(self) -> tuple[str, ...]:
        """The names of the components that stackctl asks to inspect it."""
        return ()

    @property
    def precedes(self) -> tuple[str, ...]:
        """The names of the components that wait for its end."""
        return ()

    def preceding(self, names: Collection[str]) -> Self:
        """Return it in a stack that has these components alone: what is not there does not wait for its end."""
        return self

    @property
    def follows(self) -> tuple[str, ...]:
        """The names of the components with which it waits for the end of what comes before them."""
        return ()

    @property
    def shares(self) -> tuple[str, ...]:
        """The names of the components whose image and volumes are its own too."""
        return ()

    def exports(self, target: Target) -> Mapping[str, Value]:
        """What a component that uses it gets, by the end of the variable: `HOST`, `PASSWORD_FILE`."""
        return {}

    @property
    def declared(self) -> Mapping[str, str]:
        """The variables that a stack file gives it, each with the component that it is declared for."""
        return {}

    @property
    def variable_files(self) -> tuple[str, ...]:
        """The files, relative to the stack file, whose variables it gets; of two with one variable the last counts."""
        return ()

    def meaning(self, reference: Reference, target: Target) -> Value | None:
        """What a reference to it stands for, if that is made of others, as `url` is.

        A secret that it does not have on this target is empty text.
        """
        return None

    def secrets(self, target: Target) -> tuple[SecretReference, ...]:
        """The secrets that belong to it and are generated for an instance."""
        return ()

    def workload(self, target: Target) -> Workload:
        """What it runs, without what the components that it uses export to it.

        Raises `DeclarationError` for a component that can't run on this target.
        """
        raise NotImplementedError

    def programs(self, search: ProgramSearch) -> Programs:
        """Find the programs that it brings along as a process. Raises `StackError` if there are none."""
        return Programs()

    def without_effect(self, target: Target) -> tuple[str, ...]:
        """Name the declared fields that do nothing on an engine which runs such workloads."""
        return ()

    def lacking(self, programs: Programs) -> StackError | None:
        """Return the error of what is declared and `programs` of this machine do not have; None if nothing lacks."""
        return None

    def process_files(self, host: Host) -> Mapping[str, str]:
        """Give the files that it reads as a process, by the name that `Reference(…, "file", NAME)` has."""
        return {}

    @property
    def major(self) -> int | None:
        """The major version that it has in a container, if that matters to its data."""
        return None

    @property
    def data(self) -> DataStore | None:
        """How its data is saved and loaded; None if it keeps none that is worth it."""
        return None

    @property
    def differ(self) -> Differ | None:
        """How its data is compared with that of another instance; None if as the files of its volumes, if at all."""
        return None

    @property
    def login(self) -> Login | None:
        return None

    @property
    def dumps(self) -> Dumps | None:
        return None

    @property
    def schema(self) -> Schema | None:
        return None

    def without_secrets(self, hidden: str) -> Self:
        """The same component with `hidden` for each value that is a secret by its name."""
        return self

    @property
    def emptying(self) -> tuple[str, ...]:
        """The command that empties what holds copies of data which is elsewhere; nothing if it holds none."""
        return ()

    @property
    def forgets(self) -> str:
        """What to declare in its place for data that must stay, if it may lose what it is given; else nothing."""
        return ""

    @property
    def listens_on(self) -> Reference | None:
        """The address that `BIND` in its command or environment stands for; None if it has no port to listen on."""
        return None

    @property
    def takes_work(self) -> bool:
        """Whether it works on what others leave for it in a store."""
        return False

    @property
    def rereads_secrets(self) -> bool:
        """Whether it reads a secret's file again when what it read is refused, and so outlives a `rotate`."""
        return False

    def at_major(self, major: int) -> Self:
        """The same component with another major version."""
        raise NotImplementedError

    @property
    def spread(self) -> tuple[Component, ...]:
        """What it is on many machines: itself, and what runs beside it there."""
        return (self,)

    @property
    def replication(self) -> Replication | None:
        """How its data is kept on another machine too; None if it is not."""
        return None

    @property
    def check(self) -> Check | None:
        """How it is asked for its health as a process; None if the engine does not ask it."""
        return None

    @property
    def client(self) -> Client | None:
        return None

    @property
    def timetable(self) -> Timetable | None:
        """When it does its work, if it does it at times of its own."""
        return None

    @property
    def data_folder(self) -> DataFolder | None:
        """What it makes by itself of the folder of its volume; None if that is an empty folder at first."""
        return None

    def wrong(self, field: str, problem: str) -> DeclarationError:
        return DeclarationError(f"{self.name}/{field}", problem)

    def misplaced(self, field: str) -> DeclarationError:
        """Return the error of a secret in a field that is no place for one."""
        return DeclarationError(
            f"{self.name}/{field}",
            "holds a secret; one stands in `environment` alone, because all else is seen by many",
            "pass it as a variable, which the program reads",
        )

    def _freeze(self, field: str, value: object) -> None:
        """Put what was checked in the place of what was given, while the component is made."""
        object.__setattr__(self, field, value)
