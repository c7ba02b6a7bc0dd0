"""A mail catcher: it takes every mail, delivers none, and shows them on a page and to programs."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import ClassVar

from stack.capabilities import Check, Programs, ProgramSearch, Script
from stack.checking import checked_cpus, checked_image, checked_memory, checked_public, checked_publish
from stack.frozen import dataclass
from stack.parts import TMP, USER, PageCheck
from stack.references import Reference, Value
from stack.server import Addressed
from stack.workload import Hardening, Healthcheck, HttpCheck, Limits, Port, PortId, Target, Workload

IMAGE = "axllent/mailpit:v1.33"
_SMTP, _HTTP = 1025, 8025
_READY = "/readyz"
_CATCHER = "mail-catcher"
_SCRIPTS = {_CATCHER: Script(Path(__file__).with_name("catcher.py"), package="aiosmtpd")}
# Any name and password are good: some apps send none without.
_VARIABLES = {
    "MP_SMTP_AUTH_ACCEPT_ANY": "true",
    "MP_SMTP_AUTH_ALLOW_INSECURE": "true",
    "MP_DISABLE_VERSION_CHECK": "true",
}


@dataclass(frozen=True)
class Mail(Addressed):
    """A mail catcher for development. A component that uses it gets `MAIL_HOST`, `MAIL_PORT` and `MAIL_URL`.

    It takes the mail of every sender, with any name and password, and delivers none. It keeps the last 500 until it
    ends. `publish`: the port of this machine with the page that shows them and with the HTTP API of Mailpit, on
    127.0.0.1; True stands for 8025, None for no port; `public`: on every address of this machine.
    Without Docker there is less of both: `/api/v1/messages`, `/api/v1/message/ID` and its `/raw`. `image`: what a
    container runs, a Mailpit. `memory` is in MiB. Raises `DeclarationError` for a wrong value.
    """

    publish: bool | int | None = True
    memory: int = 128
    cpus: float = 1.0
    image: str | None = None
    public: bool = False

    _SCHEME: ClassVar[str] = "smtp"

    def __post_init__(self) -> None:
        super().__post_init__()
        self._freeze("publish", checked_publish(self, self.publish, _HTTP))
        checked_public(self, self.public, self.publish is not None)
        checked_memory(self, self.memory, least=32)
        checked_cpus(self, self.cpus)
        if self.image is not None:
            checked_image(self, self.image)

    @property
    def role(self) -> str:
        return "mail catcher"

    def workload(self, target: Target) -> Workload:
        page = PortId.of(self.name, "http")
        plain = Workload(
            limits=Limits(memory=self.memory, cpus=self.cpus, pids=128),
            hardening=Hardening(user=USER, tmpfs=(TMP,)),
            ports=(
                Port(PortId.of(self.name, "smtp"), _SMTP),
                Port(page, _HTTP, publish=self.publish, public=self.public),
            ),
            probe=None if self.publish is None else HttpCheck(page, _READY),
            stop_grace=5,
        )
        if target == "container":
            check = Healthcheck(("CMD", "/mailpit", "readyz"))
            return replace(plain, image=self.image or IMAGE, environment=_VARIABLES, healthcheck=check)
        page_port = Reference(self.name, "port", "http")
        command: tuple[Value, ...] = (_CATCHER, "--bind", self.host, "--smtp", self.port, "--http", page_port)
        if self.public:
            command = (*command, "--http-bind", Reference(self.name, "every"))
        return replace(plain, command=command, stop_signal="TERM")

    def without_effect(self, target: Target) -> tuple[str, ...]:
        return ("image",) if target == "process" and self.image is not None else ()

    def programs(self, search: ProgramSearch) -> Programs:
        search.in_package("aiosmtpd", "controller.py", "aiosmtpd")
        return Programs(scripts=_SCRIPTS)

    @property
    def check(self) -> Check:
        return PageCheck(self.name, "http", _READY)
