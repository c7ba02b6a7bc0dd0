"""Decide which variables of a Compose project become parameters, and which texts of it secrets. Pure."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterator, Mapping

from stack.frozen import dataclass
from stack.importing.interpolation import Template, Variable, filled, variables_in
from stack.importing.names import identifier
from stack.importing.project import Notes, Project, Service, texts
from stack.importing.relations import Relations
from stack.importing.source import Call, Code
from stack.parameters import problem_of

# A variable that holds a secret itself; not one about it, like TOKEN_EXPIRE_MINUTES.
_SECRET = re.compile(
    r"(?:PASSWORD|PASSWD|PASS|PWD|SECRET|TOKEN|KEY|CREDENTIALS?|SALT)(?:_?(?:BASE|VALUE|HASH|\d+))?$", re.IGNORECASE
)
# One that the stack itself can make: nothing outside of it knows it.
_OF_ITS_OWN = re.compile(r"(?:PASSWORD|PASSWD|PASS|PWD|SECRET|SECRET_?KEY|SALT)(?:_?BASE)?$", re.IGNORECASE)
_OF_OTHERS = re.compile(
    r"SMTP|MAIL|AWS|S3|CLIENT|OAUTH|OIDC|LDAP|GITHUB|GITLAB|GOOGLE|STRIPE|TWILIO|SLACK|WEBHOOK|CAPTCHA|AZURE|GCP|API"
    r"|ACCESS|ENCRYPT|SENTRY|PROXY|PUBLIC|PUBLISHABLE|SITE_?KEY|ANON",
    re.IGNORECASE,
)
# With it a person logs in.
_OF_A_PERSON = re.compile(r"ADMIN|SUPERUSER|DEFAULT_USER", re.IGNORECASE)
# What an app signs with, for itself alone.
_OF_ONE_APP = re.compile(r"SECRET_?KEY|SALT|JWT|SESSION|COOKIE|SIGN|NEXTAUTH|AUTH_SECRET|APP_SECRET", re.IGNORECASE)
_LONG_KEY = 20
# A switch or a number beside a secret, and no secret itself.
_SWITCH = re.compile(r"(?i:yes|no|true|false|on|off|none|null)|\d{1,4}|/.*")


def is_secret(name: str) -> bool:
    return _SECRET.search(name) is not None


def is_own(name: str, value: str) -> bool:
    """Say whether a variable has a secret of the stack's own, which may be any other."""
    if not value or _SWITCH.fullmatch(value) or _OF_A_PERSON.search(name):
        return False
    return _OF_ITS_OWN.search(name) is not None and _OF_OTHERS.search(name) is None


@dataclass(frozen=True)
class Declared:
    """A parameter of the stack file. `reason` is a comment behind it."""

    name: str
    variable: str
    secret: bool = False
    default: str | None = None
    generate: bool = False
    reason: str = ""

    @property
    def call(self) -> Call:
        named: dict[str, object] = {}
        if self.secret:
            named["secret"] = True
        if self.default is not None:
            named["default"] = self.default
        if self.generate:
            named["generate"] = True
        return Call("Parameter", [self.name], named)


class Parameters:
    """The parameters that are needed so far, in the order in which they were asked for."""

    def __init__(
        self, project: Project, relations: Relations, servers: Collection[str], notes: Notes, used: set[str]
    ) -> None:
        self._project, self._relations, self._notes, self._used = project, relations, notes, used
        self._servers = servers
        self._declared: dict[str, Declared] = {}
        self._uses: dict[str, list[Variable]] = {}
        self._secrets: set[str] = set()
        self._asked: dict[str, Declared] = {}
        for service in project.services.values():
            self._survey(service)
        # The literal secrets that are generated, each with the variable whose name they get.
        self.generated: Mapping[str, str] = dict(self._generated())

    @property
    def declared(self) -> list[Declared]:
        return list(self._declared.values())

    def _survey(self, service: Service) -> None:
        for name, template in service.environment.items():
            for each in variables_in(template or ()):
                self._uses.setdefault(each.name, []).append(each)
                if template == (each,) and is_secret(name):
                    self._secrets.add(each.name)
        for key in ("command", "entrypoint"):
            for word in service.words(key) or ():
                for each in variables_in(word):
                    self._uses.setdefault(each.name, []).append(each)

    def is_secret(self, variable: str) -> bool:
        """Say whether a variable of the project is a secret: by its name, or by that of one that has its value."""
        return variable in self._secrets or is_secret(variable)

    def of_variable(self, variable: Variable, service: str) -> Code | str:
        """Return what stands for a variable in the stack file: a parameter, or plain text."""
        name = variable.name
        if variable.alternative is not None or name.startswith("STACKCTL_"):
            self._notes.decide(service, name, f"{name} is no parameter: it stands for what it is now")
            return filled((variable,), self._project.known)
        other = None if variable.default is None else filled(variable.default, {})
        if other is not None and other in self.generated and self.is_secret(name) and not self._project.given.get(name):
            if self.generated[other] != name:
                reason = f"is the same secret as {self.generated[other]}"
                self._notes.decide(service, name, reason)
            return self._generate(other)
        if name not in self._declared:
            self._declared[name] = self._of_uses(variable)
        found = self._declared[name]
        if other not in (None, found.default) and not found.generate and not self._project.given.get(name):
            reason = f"{name} has another default here, {other!r}: a parameter has one, so this is text"
            self._notes.decide(service, name, reason)
            return str(other)
        return Code(found.variable)

    def _of_uses(self, variable: Variable) -> Declared:
        name, secret = variable.name, self.is_secret(variable.name)
        given = self._project.given.get(name)
        uses = self._uses.get(name, [variable])
        defaults = [filled(each.default, {}) for each in uses if each.default is not None]
        default = max(defaults, key=lambda each: (each != "", defaults.count(each))) if defaults else None
        if default is not None and problem_of(default):
            default = default.splitlines()[0] if default.splitlines() else ""
            self._notes.lose("", name, "its default has several lines, and that of a parameter has one")
        secret = secret and not (default and _SWITCH.fullmatch(default))
        if secret and given and default:
            # Its value is in `.env`, and the default of a secret is of no use.
            default = None
        return Declared(name, identifier(name, self._used), secret, default)

    def of_literal(self, service: Service, name: str, value: str) -> Code | None:
        """Return the parameter in the place of a literal secret; None if it stays as it is."""
        if not is_secret(name) or not value or name.endswith("_FILE"):
            return None
        if value in self.generated:
            return self._generate(value)
        if is_own(name, value):
            self._notes.decide(service.name, f"environment.{name}", "stays in the text: what knows it may be elsewhere")
        elif _OF_A_PERSON.search(name) is None and len(value) >= _LONG_KEY and " " not in value and "/" not in value:
            return self._ask_for(service, name, value)
        return None

    def _ask_for(self, service: Service, name: str, value: str) -> Code:
        """Declare a parameter for a key that others gave: its value belongs into `.env`."""
        found = self._asked.get(value)
        if found is None:
            free = name if name not in self._declared and name not in self._uses else _of_service(service, name)
            reason = "its value stood in the Compose file: put it into .env"
            found = Declared(free, identifier(free, self._used), secret=True, reason=reason)
            self._declared[free] = self._asked[value] = found
            self._notes.decide(service.name, f"environment.{name}", reason)
        return Code(found.variable)

    def of_file(self, service: Service, secret: str) -> Code:
        """Return the parameter for a secret of Compose that is not in a file of the project."""
        name = re.sub(r"\W", "_", secret.upper())
        if name not in self._declared:
            reason = f"give its value once: `stackctl up --set {name}=@FILE`"
            self._declared[name] = Declared(name, identifier(name, self._used), secret=True, reason=reason)
            self._notes.decide(service.name, f"secrets.{secret}", reason)
        return Code(self._declared[name].variable)

    def of_value(self, value: str) -> Code | None:
        """Return the parameter of a literal secret that is part of a text, as the password in a URL."""
        return self._generate(value) if value in self.generated else None

    def _generate(self, value: str) -> Code:
        name = self.generated[value]
        if name not in self._declared:
            reason = "generated: it stood in the Compose file"
            python = identifier(name, self._used)
            self._declared[name] = Declared(name, python, secret=True, generate=True, reason=reason)
            self._notes.decide("", name, reason)
        return Code(self._declared[name].variable)

    def passed_on(self, service: str, name: str) -> Code:
        """Return the parameter for a variable that Compose passes on from the shell."""
        if name not in self._declared and name in self._uses:
            self._declared[name] = self._of_uses(Variable(name))
        if name not in self._declared:
            self._declared[name] = Declared(name, identifier(name, self._used), is_secret(name), default="")
            reason = "passed on from the shell: a parameter, empty without a value"
            self._notes.decide(service, f"environment.{name}", reason)
        return Code(self._declared[name].variable)

    def _generated(self) -> Iterator[tuple[str, str]]:
        """Yield the secrets in the project that can be others: all that know them are told."""
        taken: set[str] = set(self._uses)
        seen: set[str] = set()
        for service in self._project.services.values():
            for name, template in service.environment.items() if service.name not in self._servers else ():
                variable = whole(template or ())
                value = filled(template or (), {}) if variable or _is_literal(template) else ""
                named = variable.name if variable is not None else name
                if value in seen or not is_own(named, value) or self._project.given.get(named):
                    continue
                seen.add(value)
                if self._is_known_elsewhere(service, name, value):
                    continue
                free = named if variable is not None or named not in taken else _of_service(service, name)
                taken.add(free)
                yield value, free

    def _is_known_elsewhere(self, service: Service, name: str, value: str) -> bool:
        word = re.compile(rf"(?<![\w-]){re.escape(value)}(?![\w-])")
        for other in self._project.services.values():
            keys = ("command", "entrypoint", "healthcheck", "labels")
            told = [each for key in keys for each in texts(other.plain.get(key))]
            told += self._relations.files.get(other.name, ())
            if any(word.search(text) for text in told):
                return True
        users = [self._project.services[each] for each in self._relations.users(service.name)]
        if _OF_ONE_APP.search(name):
            return False
        if not users:
            # What is outside of the project may use it.
            return bool(service.ports)
        return not any(self._is_told(user, value) for user in users)

    def _is_told(self, user: Service, value: str) -> bool:
        return any((text == value and is_secret(name)) or f":{value}@" in text for name, text in user.values.items())


def _is_literal(template: Template | None) -> bool:
    return template is not None and all(isinstance(part, str) for part in template)


def whole(template: Template) -> Variable | None:
    """Return the variable of a text that is nothing else."""
    return template[0] if len(template) == 1 and isinstance(template[0], Variable) else None


def _of_service(service: Service, name: str) -> str:
    """Return the name of a parameter that belongs to one service."""
    return re.sub(r"\W", "_", f"{service.name}_{name}".upper())
