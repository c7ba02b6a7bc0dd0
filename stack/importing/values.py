"""Write the values of variables and the words of commands: with references and parameters in them. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping, Sequence

from stack.frozen import dataclass
from stack.importing.interpolation import Template, Variable, filled
from stack.importing.parameters import Parameters, whole
from stack.importing.project import Notes, Project, Service
from stack.importing.relations import Mention, Relations
from stack.importing.serving import Server, is_about
from stack.importing.source import Code, Text, quoted, text_of

# In the place of a variable without a value.
_UNKNOWN = "\ue000"
_URL = re.compile(
    r"(?P<scheme>[a-z][\w+.-]*(?::[a-z0-9]+)?)://(?:(?P<user>[^:@/\s]*)(?::(?P<password>[^@/\s]*))?@)?"
    r"(?P<host>[^:/?#,@\s]+)(?::(?P<port>\d+|\ue000))?(?:/(?P<path>[^?#\s]*))?(?P<rest>[?#]\S*)?"
)
# Connection strings of pairs, and JDBC URLs that have such pairs behind them.
_HOST_IN = re.compile(r"(?:(?:^|[;\s])(?:host|server)\s*=\s*|jdbc:postgresql://)(?P<host>[\w.-]+)", re.IGNORECASE)
_ADDRESS = re.compile(r"jdbc:postgresql://[\w.-]+(?::(?P<port>\d+))?/(?P<path>[\w-]+)")
_KEYS = {
    "host": "host|server", "port": "port", "user": "user|username|uid|user id", "password": "password|pwd",
    "database": "dbname|database|initial catalog",
}  # fmt: skip
_PAIR = re.compile(rf"(?:^|[;&?\s])(?P<key>{'|'.join(_KEYS.values())})\s*=\s*(?P<value>[^;&\s]+)", re.IGNORECASE)
_LOGIN = re.compile(r"://[^:@/\s]*:(?P<password>[^@/\s]+)@")
_PASSWORD = re.compile(r"PASS|PWD|AUTH", re.IGNORECASE)
_USER = re.compile(r"USER", re.IGNORECASE)
_DATABASE = re.compile(r"(?:DB|DATABASE|DBNAME|DB_NAME|NAME)$", re.IGNORECASE)
_SHELL = re.compile(r"&&?|\|\|?|;|[0-9]?>.*|<.*|\$\(.*|`.*", re.DOTALL)


@dataclass(frozen=True)
class Span:
    """A part of a text of which a variable makes the letters from `start` to `end`."""

    start: int
    end: int
    variable: Variable


class Values:
    """Writes values. `names` has the components' names, `variables` those of Python, `ports` the declared ports."""

    def __init__(
        self,
        project: Project,
        relations: Relations,
        servers: Mapping[str, Server],
        parameters: Parameters,
        notes: Notes,
        names: Mapping[str, str],
        variables: Mapping[str, str],
        ports: Mapping[str, Mapping[int, str]],
    ) -> None:
        self._project, self._relations, self._servers = project, relations, servers
        self._parameters, self._notes = parameters, notes
        self._names, self._variables, self._ports = names, variables, ports
        # Which services each can refer to by their variables of Python.
        self.known: dict[str, frozenset[str]] = {}
        # Those to which the values of a service refer.
        self.referred: dict[str, set[str]] = {}

    def environment(self, service: Service) -> dict[str, object]:
        """Return the variables of a service. Those of its files only if they name what has another value here."""
        found: dict[str, object] = {}
        for name, template in service.environment.items():
            found[name] = self.value(service, name, template)
        for name, text in (service.from_files or {}).items():
            if name not in service.environment and text:
                value = self._wired(service, name, (text,))
                if value is not None and self._differs(value):
                    found[name] = value
                    self._notes.decide(service.name, f"environment.{name}", "its value in `env_file` is replaced")
        return found

    def _differs(self, value: object) -> bool:
        """Say whether a value is another than before: it has the login of a server, or the new name of a host."""
        codes = [value] if isinstance(value, Code) else [each for each in _parts(value) if isinstance(each, Code)]
        renamed = [self._variables[name] for name, new in self._names.items() if name != new]
        return any(
            code.text.endswith((".password", ".url", ".user", ".database")) or code.text.partition(".")[0] in renamed
            for code in codes
        )

    def value(self, service: Service, name: str, template: Template | None) -> object:
        """Return the value of a variable as it is written in the stack file."""
        if template is None:
            return self._parameters.passed_on(service.name, name)
        wired = self._wired(service, name, template)
        if wired is not None:
            return wired
        if len(template) == 1 and isinstance(template[0], str):
            return self._parameters.of_literal(service, name, template[0]) or template[0]
        return self._plain(service, template)

    def _plain(self, service: Service, template: Template) -> object:
        return text_of(
            [part if isinstance(part, str) else self._parameters.of_variable(part, service.name) for part in template]
        )

    def _wired(self, service: Service, name: str, template: Template) -> object | None:
        """Return a value with references in it; None if it names nothing of the stack."""
        text, spans = _laid_out(template, self._project.known)
        if secret := self._of_secret_file(service, name, text):
            return secret
        if own := self._of_login(service, name, template, text):
            return own
        if (pairs := self._connection_string(service, text, spans)) is not None:
            return pairs
        server = self._server_of(service, url["host"]) if (url := _URL.fullmatch(text)) else None
        if url is not None and server is not None and server.kind != "Bucket":
            return self._url(service, server, url)
        if port := self._port_beside(service, name, text):
            return port
        mentions = [each for each in self._relations.hosts.mentions(text, name) if each.service != service.name]
        mentions = [each for each in mentions if each.service in self.known.get(service.name, ())]
        return self._with_hosts(service, text, spans, mentions) if mentions else None

    def _refer(self, service: Service, other: str) -> str:
        self.referred.setdefault(service.name, set()).add(other)
        return self._variables[other]

    def _server_of(self, service: Service, host: str) -> Server | None:
        owner = self._relations.hosts.owners.get(host)
        return self._servers.get(owner) if owner in self.known.get(service.name, ()) else None  # type: ignore[arg-type]

    def _of_secret_file(self, service: Service, name: str, text: str) -> Code | None:
        """Return the path of a password's file, for a variable that has that of the same secret of Compose."""
        if not name.endswith("_FILE") or not text:
            return None
        for server in self._servers.values():
            if server.secret_file == text and server.service in self.known.get(service.name, ()):
                return Code(f"{self._refer(service, server.service)}.password")
        secret = text.removeprefix("/run/secrets/")
        declared = (self._project.raw.get("secrets") or {}).get(secret)
        if secret == text or declared is None or self._project.beside(str(declared.get("file") or "/")) is not None:
            return None
        return self._parameters.of_file(service, secret)

    def _of_login(self, service: Service, name: str, template: Template, text: str) -> Code | None:
        """Return the password, the user or the database of a server, for a variable that has the same."""
        for server in self._servers.values():
            if server.service not in self.known.get(service.name, ()) or server.service not in self._related(service):
                continue
            if server.kind == "Bucket" and text and text in (server.user, server.password):
                field = "access_key" if text == server.user else "secret_key"
                return Code(f"{self._refer(service, server.service)}.{field}")
            theirs = self._project.services[server.service].environment
            same = theirs.get("POSTGRES_PASSWORD") == template and whole(template) is not None
            hosts = self._project.services[server.service].hosts
            about = is_about(service, name, server.kind, hosts)
            if _PASSWORD.search(name) and (same or (about and server.password and text == server.password)):
                return Code(f"{self._refer(service, server.service)}.password")
            if server.kind != "Postgres" or not text or not self._is_login_of(service, server):
                continue
            if not about:
                continue
            if _USER.search(name) and text == server.user:
                return Code(f"{self._refer(service, server.service)}.user")
            if _DATABASE.search(name) and text == server.database and not _USER.search(name):
                return Code(f"{self._refer(service, server.service)}.database")
        return None

    def _is_login_of(self, service: Service, server: Server) -> bool:
        """Say whether the variables of a service have the password of a server beside its user and database."""
        theirs = self._project.services[server.service].environment.get("POSTGRES_PASSWORD")
        return any(
            _PASSWORD.search(name)
            and ((server.password and service.values.get(name) == server.password) or (theirs and value == theirs))
            for name, value in service.text_of.items()
        ) or any(value == server.secret_file for value in service.values.values() if server.secret_file)

    def _related(self, service: Service) -> Collection[str]:
        return {*self._relations.waits(service.name), *self._relations.named[service.name]}

    def _url(self, service: Service, server: Server, url: re.Match[str]) -> object:
        own = self._refer(service, server.service)
        rest, path = url["rest"] or "", url["path"]
        host: list[str | Code] = [Code(f"{own}.host"), ":", Code(f"{own}.port")]
        if server.kind == "Redis":
            if url["scheme"] == "redis" and path in (None, "", "0"):
                return text_of([Code(f"{own}.url"), rest])
            end = "" if path is None else f"/{path}"
            return text_of([f"{url['scheme']}://:", Code(f"{own}.password"), "@", *host, f"{end}{rest}"])
        if server.kind == "Mail":
            if url["scheme"] == "smtp" and url["port"] in (None, "1025") and not path and not rest:
                return Code(f"{own}.url")
            port = Code(f"{own}.port") if url["port"] == "1025" else url["port"] or ""
            middle: list[str | Code] = [":", port] if url["port"] else []
            end = "" if path is None else f"/{path}"
            return text_of([f"{url['scheme']}://", Code(f"{own}.host"), *middle, f"{end}{rest}"])
        name: list[str | Code] = [Code(f"{own}.database")] if path in (server.database, _UNKNOWN) else [path or ""]
        if url["scheme"] in ("postgres", "postgresql") and url["user"] is not None and path in (
            server.database, _UNKNOWN,
        ):  # fmt: skip
            return text_of([Code(f"{own}.url"), rest])
        end_parts: list[str | Code] = [] if path is None else ["/", *name]
        login: list[str | Code] = (
            [Code(f"{own}.user"), ":", Code(f"{own}.password"), "@"] if url["user"] is not None else []
        )
        return text_of([f"{url['scheme']}://", *login, *host, *end_parts, rest])

    def _connection_string(self, service: Service, text: str, spans: Sequence[Span]) -> object | None:
        """Return a value like `host=db user=app password=secret`, or a JDBC URL with these, with references in it."""
        found = _HOST_IN.search(text)
        server = self._server_of(service, found["host"]) if found else None
        if found is None or server is None or server.kind != "Postgres":
            return None
        own = self._refer(service, server.service)
        known = {
            "host": (found["host"], "host"), "port": ("5432", "port"), "user": (server.user, "user"),
            "password": (server.password, "password"), "database": (server.database, "database"),
        }  # fmt: skip
        pieces: list[tuple[int, int, list[str | Code]]] = [(*found.span("host"), [Code(f"{own}.host")])]
        for pair in _PAIR.finditer(text):
            key = next(name for name, pattern in _KEYS.items() if re.fullmatch(pattern, pair["key"], re.IGNORECASE))
            value, field = known[key]
            if key != "host" and pair["value"] == value and value:
                pieces.append((*pair.span("value"), [Code(f"{own}.{field}")]))
        if not any(code == [Code(f"{own}.password")] for _, _, code in pieces):
            return None
        if (where := _ADDRESS.search(text)) is not None:
            if where["port"] == "5432":
                pieces.append((*where.span("port"), [Code(f"{own}.port")]))
            if where["path"] == server.database:
                pieces.append((*where.span("path"), [Code(f"{own}.database")]))
        return self._assembled(service, text, spans, pieces)

    def _port_beside(self, service: Service, name: str, text: str) -> Code | None:
        """Return the port of a server for a variable like DB_PORT, beside DB_HOST with the server's name."""
        if not name.upper().endswith("PORT") or not text.isdecimal():
            return None
        for beside in (f"{name[:-4]}HOST", f"{name[:-4]}SERVER", f"{name[:-4]}HOSTNAME", f"{name[:-4]}ADDRESS"):
            host = service.values.get(beside, "")
            owner = self._relations.hosts.owners.get(host)
            if owner is not None and owner in self.known.get(service.name, ()) and owner != service.name:
                return self._port(service, owner, int(text))
        return None

    def _port(self, service: Service, other: str, port: int) -> Code | None:
        if (server := self._servers.get(other)) is not None:
            return Code(f"{self._refer(service, other)}.port") if server.port == port else None
        name = self._ports.get(other, {}).get(port)
        if name is None:
            return None
        first = next(iter(self._ports[other].values()))
        own = self._refer(service, other)
        return Code(f"{own}.port()" if name == first else f"{own}.port({quoted(name)})")

    def _with_hosts(
        self, service: Service, text: str, spans: Sequence[Span], mentions: Sequence[Mention]
    ) -> object | None:
        """Put references into the places of hosts; a variable that makes more than a host or a port is written out."""
        pieces: list[tuple[int, int, list[str | Code]]] = []
        for mention in mentions:
            start, end = mention.start, mention.end
            port = None if mention.port is None else self._port(service, mention.service, mention.port)
            own = self._refer(service, mention.service)
            is_url = text[:start].endswith("http://") and port is not None and mention.service not in self._servers
            kind = self._servers[mention.service].kind if mention.service in self._servers else ""
            if kind == "Bucket" and text[:start].endswith("http://") and port is not None:
                start -= len("http://")
                codes: list[str | Code] = [Code(f"{own}.url")]
            elif is_url and port is not None:
                start -= len("http://")
                codes = [Code(port.text.replace(".port(", ".url("))]
            elif port is not None:
                codes = [Code(f"{own}.host"), ":", port]
            else:
                codes, end = [Code(f"{own}.host")], mention.host_end
            pieces.append((start, end, codes))
        for login in _LOGIN.finditer(text):
            if (secret := self._parameters.of_value(login["password"])) is not None:
                pieces.append((*login.span("password"), [secret]))
        return self._assembled(service, text, spans, sorted(pieces, key=lambda piece: piece[0]))

    def _assembled(
        self, service: Service, text: str, spans: Sequence[Span], pieces: Sequence[tuple[int, int, list[str | Code]]]
    ) -> object | None:
        pieces = list(pieces)
        for span in spans:
            touched = [(start, end) for start, end, _ in pieces if start < span.end and span.start < end]
            if not touched:
                value = self._parameters.of_variable(span.variable, service.name)
                pieces.append((span.start, span.end, [value]))
            elif self._project.given.get(span.variable.name) and any(
                start > span.start or end < span.end for start, end in touched
            ):
                # Its value is in `.env` and may hold a secret: it stays there.
                return None
        parts: list[str | Code] = []
        at = 0
        for start, end, codes in sorted(pieces, key=lambda piece: piece[0]):
            parts += [text[at:start], *codes]
            at = end
        return text_of([*parts, text[at:]])

    def words(self, service: Service, key: str) -> object | None:
        """Return the words of a `command` or `entrypoint`: a text if it is split into the same words, else a list."""
        words = service.words(key)
        if words is None:
            return None
        written = [self._word(service, key, word) for word in words]
        if all(isinstance(word, str) for word in written):
            return _as_text([str(word) for word in written])
        return written

    def _word(self, service: Service, key: str, template: Template) -> object:
        text, spans = _laid_out(template, self._project.known)
        mentions = [each for each in self._relations.hosts.mentions(text) if each.service != service.name]
        mentions = [each for each in mentions if each.service in self.known.get(service.name, ())]
        if mentions and "\n" not in text:
            wired = self._with_hosts(service, text, spans, mentions)
            if wired is not None:
                return wired
        return self._plain(service, template)

    def secret_in(self, service: Service, key: str) -> tuple[str, ...]:
        """Return the secret variables in the words of a command."""
        names = [
            part.name
            for word in service.words(key) or ()
            for part in word
            if isinstance(part, Variable) and self._parameters.is_secret(part.name)
        ]
        return tuple(dict.fromkeys(names))


def _parts(value: object) -> Sequence[str | Code]:
    return value.parts if isinstance(value, Text) else ()


def _laid_out(template: Template, given: Mapping[str, str]) -> tuple[str, list[Span]]:
    """Return a text with the values of its variables, and where these are."""
    text, spans = "", []
    for part in template:
        if isinstance(part, str):
            text += part
            continue
        value = filled((part,), given) or _UNKNOWN
        spans.append(Span(len(text), len(text) + len(value), part))
        text += value
    return text, spans


def _as_text(words: list[str]) -> object:
    joined = " ".join(words)
    if any(not word or _SHELL.fullmatch(word) or "\n" in word for word in words):
        return words
    try:
        same = shlex.split(joined) == words
    except ValueError:
        same = False
    return joined if same else words
