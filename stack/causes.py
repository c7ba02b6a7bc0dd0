"""Recognise from what a component wrote why it fails. Pure: a flat table, the first that fits wins."""

from __future__ import annotations

import re

from stack.frozen import dataclass


@dataclass(frozen=True)
class Cause:
    """A stable code, what happened, and what to type next."""

    code: str
    message: str
    hint: str


@dataclass(frozen=True)
class _Known:
    """A text that programs write, as a regular expression, and what it means.

    `{0}`, `{1}` in message and hint stand for what its groups found, those without a match left out, and `{name}` for
    the component. `role`: it means this only when a component of this role writes it.
    """

    pattern: str
    code: str
    message: str
    hint: str
    role: str = ""


_DATABASE = "PostgreSQL"
_CONTAINER = "container"
# What the official PostgreSQL image writes at each start as an ordinary user, and what harms nothing.
_HARMLESS = re.compile(r"^chmod: changing permissions of '/var/run/postgresql': Operation not permitted$", re.MULTILINE)
_NO_ADDRESS_HINT = "name a component that is in its `uses`: only those are reachable, by their names"

_KNOWN = (
    _Known(
        r"password authentication failed for user \"([^\"]+)\"",
        "password-mismatch",
        "PostgreSQL refuses the password of {0}: its data was made with another",
        "put the right password file back, or give the data this one with `stackctl rotate {name}`",
        role=_DATABASE,
    ),
    _Known(
        r"password authentication failed for user \"([^\"]+)\"",
        "password-mismatch",
        "{name} asks PostgreSQL as {0} with a password that is not the right one",
        "let it read the file that its variable …_PASSWORD_FILE names",
    ),
    _Known(
        r"database files are incompatible with server"
        r"|Error: in 18\+, ",
        "data-version",
        "the data was made by another major version of PostgreSQL",
        "declare the version that made it: `version=` of {name}; a newer one then takes it along, as "
        "`stackctl upgrade --help` says",
        role=_DATABASE,
    ),
    _Known(
        r"FATAL: +(?:unrecognized configuration parameter|invalid value for parameter|parameter) \"([^\"]+)\""
        r"|FATAL: +[^\n]* is outside the valid range for parameter \"([^\"]+)\"",
        "setting-refused",
        "PostgreSQL does not start with {0} as it is set, or has no such setting",
        "mend `{0}` in `settings` of {name}, or leave it out, and run `stackctl up` again",
        role=_DATABASE,
    ),
    _Known(
        r"FATAL: +could not access file \"([^\"]+)\": No such file",
        "setting-refused",
        "PostgreSQL has no library {0}, which `shared_preload_libraries` names",
        "leave it out of `settings` of {name}, or choose an `image=` that has it, and run `stackctl up` again",
        role=_DATABASE,
    ),
    _Known(
        r"stackctl: its (image has [^\n]*)",
        "image-differs",
        "PostgreSQL was not started: its {0}",
        "declare the `version=` of {name} that its image has, or in `image_user=` its user; no data was changed",
        role=_DATABASE,
    ),
    _Known(
        r"data directory \"[^\"]+\" has wrong ownership",
        "data-differs",
        "the data belongs to another user than that of this image, as on Alpine",
        "declare the image of before; to move to this one save the data with it (`stackctl snapshot save NAME`), then "
        "`stackctl reset`, declare this one, and `stackctl snapshot restore NAME`",
        role=_DATABASE,
    ),
    _Known(
        r"(Can't handle RDB format version \d+)",
        "data-version",
        "the keys were written by another server, or by a newer version ({0})",
        "declare in `image=` of {name} the one that wrote them; to go on without them, `stackctl reset`",
        role="Redis",
    ),
    _Known(
        r"FATAL: +((?:database|role) \"[^\"]+\" does not exist)"
        r"|(could not (?:open|access) [^\n]*\"(?:[^\"\n]*/)?(?:global|base|postgresql\.conf|pg_hba\.conf|pg_wal)"
        r"[^\"\n]*\": No such file)"
        r"|(no pg_hba\.conf entry for host)"
        r"|FATAL: +(required WAL directory [^\n]* does not exist|[^\n]* is not a valid data directory)"
        # Its entrypoint takes data without a PG_VERSION for none.
        r"|initdb: error: (directory [^\n]* exists but is not empty)"
        r"|FATAL: +(could not access status of transaction|could not locate a valid checkpoint record)",
        "data-incomplete",
        "the data of PostgreSQL is not complete: its first start was cut off, or something is gone ({0})",
        "bring back what is gone; only if nothing in it is needed, `stackctl reset` and `stackctl up` recreate it",
        role=_DATABASE,
    ),
    _Known(
        r"[Nn]o space left on device[^\n]*'(/tmp/[^'\n]*)'|ENOSPC[^\n]*'(/tmp/[^'\n]*)'",
        "disk-full",
        "/tmp of {name} is full ({0})",  # noqa: S108 - a message
        "in a container /tmp is kept in memory: write less there, or keep the files elsewhere",
    ),
    _Known(
        r"[Nn]o space left on device|ENOSPC",
        "disk-full",
        "there is no space left on a disk that {name} writes to",
        "make room (`df -h`; on Docker `docker system df`) and run `stackctl up` again",
    ),
    _Known(
        r"ModuleNotFoundError: No module named '([^']+)'|Cannot find module '([^']+)'",
        "module-missing",
        "{name} can't import {0}",
        "add it to what the app installs (requirements.txt, package.json), or where no image is built install it into "
        "the `.venv` of its source folder, and run `stackctl up` again",
    ),
    _Known(
        r"ImportError: (cannot import name '[^']+' from [^\n(]*[^\n( ])",
        "module-missing",
        "{name} fails at an import: {0}",
        "fix that import, or have the app install the version of the package that it is written for, and run "
        "`stackctl up` again",
    ),
    _Known(
        # Python, with the file and its line, and Node.js.
        r"File \"([^\"\n]+)\", line (\d+)\n(?:[^\n]*\n){1,3}?((?:Syntax|Indentation|Tab)Error: [^\n]*)"
        r"|^([^\s:]+\.[cm]?[jt]sx?):(\d+)\n(?:[^\n]*\n){1,5}?(SyntaxError: [^\n]*)",
        "syntax-error",
        "the code of {name} can't be read: {0}, line {1}: {2}",
        "fix that line and run `stackctl up` again",
    ),
    _Known(
        # os.environ of Python, and a shell.
        r"(?:<frozen os>|/os\.py)\"(?:[^\n]*\n){1,6}?KeyError: '([A-Za-z_]\w*)'"
        r"|: ([A-Za-z_]\w*): (?:unbound variable|parameter not set|parameter null or not set)",
        "variable-missing",
        "{name} needs the variable {0}, which it does not have",
        "give it in `environment=`, or name the component that gives it in `uses=`",
    ),
    _Known(
        # As the kernel says it, and a shell.
        r"[Ee]xec format error|cannot execute binary file|: \d+: .?ELF.*not found",
        "image-architecture",
        "the program of {name} is for another kind of processor",
        "name or build an image for this machine's architecture (`uname -m`)",
    ),
    _Known(
        # What starts a component without Docker.
        r"^stackctl: ([^\s:]+): not found$",
        "command-missing",
        "there is no {0} for {name} to run",
        "install it, for Python into the `.venv` of its source folder (`python3 -m venv .venv`, then "
        "`.venv/bin/pip install -r requirements.txt`), and run `stackctl up` again; or mend the command of {name} in "
        "the stack file",
    ),
    _Known(
        r"exec (\S+) failed: No such file"
        r"|(?:exec: |can't open file |launch: |stackctl: )\"?'?([^\s\"':]+)['\"]?:? "
        r"(?:.*executable file not found|.*[Nn]o such file or directory|.*not found)",
        "command-missing",
        "there is no {0} for {name} to run",
        "mend the command of {name} in the stack file or its Dockerfile, or install what it names",
    ),
    _Known(
        r"[Aa]ddress already in use|EADDRINUSE",
        "port-taken",
        "{name} can't listen on its port: something else does",
        "choose another with `stackctl up --port PORT`, or look what listens with `ss -ltnp`",
    ),
    _Known(
        r"could not translate host name \"([^\"]+)\"|getaddrinfo (?:ENOTFOUND|EAI_AGAIN) (\S+)"
        r"|[Ff]ailed to resolve (?:host )?'([^'\n]+)'|UnknownHostException: (\S+)"
        r"|lookup (\S+?)(?: on \S+)?: no such host"
        r"|[Cc]ould not resolve host: (\S+)"
        r"|Error -[235] connecting to ([^\s:]+):\d+"
        # The line of a traceback that names it.
        r"|\(\(?['\"]([A-Za-z0-9][\w.-]*)['\"], *\d+\)(?:[^\n]*\n)+?socket\.gaierror: ",
        "name-unresolved",
        "{name} asks for a host that has no address here ({0})",
        _NO_ADDRESS_HINT,
    ),
    _Known(
        r"socket\.gaierror: |Temporary failure in name resolution|Name or service not known",
        "name-unresolved",
        "{name} asks for a host that has no address here",
        _NO_ADDRESS_HINT,
    ),
    _Known(
        # nginx, Go, Node.js, Apache, HAProxy, and the line of a Python traceback.
        r"bind\(\) to [^\s(]*:(\d+) failed \(13: |listen [tu][cd]p\w* \S*:(\d+): bind: permission denied"
        r"|listen EACCES: permission denied \S*:(\d+)|\(13\)Permission denied: [^\n]*bind to address \S*:(\d+)"
        r"|cannot bind socket \(Permission denied\)[^\n]*:(\d+)"
        r"|\.bind\([^\n]*[^\d\n](\d+)\)\)\n(?:[^\n]*\n){0,2}?PermissionError: ",
        "permission-denied",
        "{name} may not listen on port {0}: those below 1024 are for root alone",
        "let it listen on the port 1024 or above, and declare that; a Container may also run as root with "
        '`user="image"` and `capabilities=["NET_BIND_SERVICE"]`',
    ),
    _Known(
        # tini, runc, and shells: the program has capabilities of its own, which its container does not have.
        r"exec (\S+) failed: Operation not permitted|exec:? \"?([^\s\":]+)\"?: operation not permitted"
        r"|: (?:line )?\d+: ([^\s:]+): Operation not permitted",
        "permission-denied",
        "{name} may not start {0}: its image gives that program capabilities which its container does not have",
        'declare them with a Container, most often `capabilities=["NET_BIND_SERVICE"]` (`getcap {0}` lists them), or '
        "take them from it in a Dockerfile with `setcap -r {0}`",
    ),
    _Known(
        r"([Cc]hown\b[^\n]*(?:[Oo]peration not permitted|EPERM))"
        r"|((?:set(?:e|re|res)?[gu]id|setgroups|initgroups|setpriv|cannot set groups|failed switching to|"
        r"unable to set)\b[^\n]*(?:[Oo]peration not permitted|EPERM))",
        "permission-denied",
        "{name} begins as root and gives its files to another user, or becomes one, and may not ({0})",
        'declare `user="image"` and `capabilities=["CHOWN", "SETGID", "SETUID"]`; or, if its image can begin as that '
        'other user, that one in numbers, like `user="999:999"`',
        role=_CONTAINER,
    ),
    _Known(
        r"([^\n]*\b(?:must|has to|needs? to) (?:be )?(?:run(?:ning)? |started |executed )?(?:as |by )?(?:the )?"
        r"(?:root\b|superuser)[^\n]*|[^\n]*\b(?:requires?|needs?) (?:root|superuser)\b[^\n]*"
        r"|[^\n]*[Aa]re you root\?[^\n]*)",
        "permission-denied",
        "{name} has to run as root, and does not ({0})",
        'declare `user="image"`, the user that its image says; as root it has no capability but those in '
        '`capabilities=[…]` of a Container, such as "CHOWN", "SETGID" and "SETUID"',
    ),
    _Known(
        # A user that its image does not know has / for its home.
        r"(?<![\w./-])(/+\.\w[^\s'\u2019\":()]*)['\u2019\"]?(?:: | \()(?:[Rr]ead-only file system|[Pp]ermission denied)"
        r"|(?:[Rr]ead-only file system|[Pp]ermission denied)(?:: |, \w+ )'(/+\.\w[^'\n]*)'",
        "permission-denied",
        "{name} can't write to {0}: the user that it runs as has no home",
        'give it a place for such files: `environment={{"HOME": "/tmp"}}` of {name}',
    ),
    _Known(
        # Most programs name the path before, and Python and Node.js after it.
        r"(/[^\s'\u2019\":()]+)['\u2019\"]?(?:: | \(| failed \(30: )[Rr]ead-only file system"
        r"|[Rr]ead-only file system(?:: |, \w+ )'([^'\n]+)'",
        "permission-denied",
        "{name} can't write to {0}: the file system of its image is read-only",
        "declare that folder in `tmpfs=[…]`, in memory, or in `volumes={{…}}`, which is kept; or `writable=True`",
        role=_CONTAINER,
    ),
    _Known(
        r"[Rr]ead-only file system",
        "permission-denied",
        "{name} can't write to its image, whose file system is read-only",
        "declare the folder that it writes to in `tmpfs=[…]`, in memory, or in `volumes={{…}}`, which is kept; or "
        "`writable=True`",
        role=_CONTAINER,
    ),
    _Known(
        r"(/[^\s'\u2019\":()]+)['\u2019\"]?(?:: | \(| failed \(13: )[Pp]ermission denied"
        r"|[Pp]ermission denied(?:: |, \w+ )'([^'\n]+)'",
        "permission-denied",
        "{name} may not read or write {0}, which belongs to another user",
        'declare the user that it belongs to: `user="image"` for that of the image, or in numbers, like '
        '`user="999:999"`; root needs `capabilities=["DAC_OVERRIDE"]` for what is of others',
        role=_CONTAINER,
    ),
    _Known(
        r"[Pp]ermission denied|EACCES|[Oo]peration not permitted|[Rr]ead-only file system|has wrong ownership",
        "permission-denied",
        "{name} may not read or write something that it needs",
        "it runs as a user without privileges and writes only to /tmp and volumes: see the line that names the path; "
        "a Container may do more, with fields for that",
    ),
)


def recognise(name: str, text: str, role: str = "") -> Cause | None:
    """Find the cause that the last log lines of a component of this role, or its health check's output, tell of."""
    text = _HARMLESS.sub("", text)
    for known in _KNOWN:
        if known.role in ("", role) and (found := re.search(known.pattern, text, re.MULTILINE)):
            groups = [group for group in found.groups() if group]
            return Cause(known.code, known.message.format(*groups, name=name), known.hint.format(*groups, name=name))
    return None
