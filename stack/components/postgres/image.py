"""What PostgreSQL is run by in a container: the image, the user in it, and how it is started. Pure.

Any image will do that keeps the contract of the official one: its entrypoint, its variables and its folders.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from stack.checking import check_numbers, checked_image
from stack.component import Component
from stack.errors import DeclarationError
from stack.workload import File

# The user `postgres` of the Debian-based images: started as this user their entrypoint needs no capability.
USER = "999:999"
_USER_ON_ALPINE = "70:70"
# Images of Alpine that do not say so in their tag.
_ON_ALPINE = re.compile(r"alpine|(?:^|/)timescale/timescaledb(?:$|[:@])")
# As in `pgvector/pgvector:pg18`, and as in `postgis/postgis:18-3.5` of the images whose tags are its versions.
_MAJOR_IN_TAG = re.compile(r":(?:[\w.-]*?\bpg)(\d\d)\b|(?:^|/)(?:postgres|postgis):(\d\d)\b")
# The data must not be made by another version, nor by a user that the image does not know: both show only afterwards.
# A wrong setting must not leave a half of them: they are made without any, or by images that can't do that alone, after
# the server has started with all settings on data that nothing needs.
_PLACE = "/stackctl-start.sh"
_START = """\
found=$(postgres --version | sed -n 's/^postgres (PostgreSQL) \\([0-9]*\\).*/\\1/p')
if [ "$found" != "$1" ]; then
    echo "stackctl: its image has PostgreSQL $found, and version=$1 is declared" >&2
    exit 1
fi
if ! id -un > /dev/null 2>&1; then
    echo "stackctl: its image has no user $(id -u), and postgres is $(id -u postgres):$(id -g postgres) there" >&2
    exit 1
fi
shift
if command -v docker-ensure-initdb.sh > /dev/null; then
    docker-ensure-initdb.sh || exit
elif [ $# -gt 0 ] && [ ! -s "$PGDATA/PG_VERSION" ]; then
    trial=/tmp/stackctl-trial
    rm -rf "$trial"
    said=$( (
        initdb -D "$trial" -U postgres --no-sync && postgres --single -D "$trial" "$@" postgres < /dev/null
    ) 2>&1 > /dev/null) || { echo "$said" >&2; exit 1; }
    rm -rf "$trial"
fi
exec docker-entrypoint.sh postgres "$@"
"""

# In the PATH of an image of Debian a Perl script comes first, which looks for the version of a program that is meant.
# It takes five times as long as psql itself. An image without this folder finds its programs as it does by itself.
OWN_PROGRAMS = 'export PATH="/usr/lib/postgresql/$PG_MAJOR/bin:$PATH"'

# The entrypoint of the image starts a server to make the user, stops it, and starts the one that is to be. What is half
# made by this is used by nothing: the volume is thrown away.
_FILL = """\
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    mkdir -p "$PGDATA" && initdb --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" || exit
    printf '\\nhost all all all scram-sha-256\\n' >> "$PGDATA/pg_hba.conf" || exit
    said=$(printf '%s\\n' "$1" | postgres --single -D "$PGDATA" postgres 2>&1)
    case $said in
        *"\\"$2\\""*) ;;
        *) echo "$said" >&2; exit 1 ;;
    esac
fi
shift 2
exec postgres "$@"
"""


def check_image(component: Component, image: str, major: int) -> None:
    """Check the name of an image, and the major version as far as its tag tells it."""
    checked_image(component, image)
    found = major_in_tag(image)
    if found is not None and found != major:
        raise DeclarationError(
            f"{component.name}/image",
            f"{image!r} is PostgreSQL {found} by its tag, and version {major} is what is declared",
            f"declare version={found}, or choose an image of PostgreSQL {major}",
        )


def check_image_user(component: Component, value: object) -> None:
    if value == "image":
        raise component.wrong("image_user", "'image' may be root, which PostgreSQL refuses; give the numbers")
    check_numbers(component, "image_user", value)


def major_in_tag(image: str) -> int | None:
    found = _MAJOR_IN_TAG.search(image)
    return int(found[1] or found[2]) if found else None


def at_major(image: str, major: int) -> str | None:
    """Return the same image of another major version; None if its tag does not tell."""
    found = _MAJOR_IN_TAG.search(image)
    if found is None:
        return None
    start, end = found.span(1 if found[1] else 2)
    return f"{image[:start]}{major}{image[end:].partition('@')[0]}"


def user_of(image: str | None) -> str:
    """Return the user and group that `postgres` has in an image."""
    return _USER_ON_ALPINE if image is not None and _ON_ALPINE.search(image) else USER


def in_image(words: Sequence[str]) -> tuple[str, ...]:
    """Return the words that run a program of PostgreSQL in a container."""
    return ("sh", "-c", f'{OWN_PROGRAMS}; exec "$@"', "sh", *words)


def start_file(component: str) -> File:
    """Return the script that starts the server in a container once its image is found to fit."""
    return File(f"{component}-start.sh", _PLACE, _START)


def start(major: int) -> tuple[str, ...]:
    """Return the words that run that script; settings follow them."""
    return ("sh", _PLACE, str(major))


def start_new(statements: Sequence[str], made: str) -> tuple[str, ...]:
    """Return the words that make the data in the official image and start the server; settings follow them.

    `statements`, each a line, make what belongs to a new server; the last of them answers `made`.
    """
    return ("sh", "-c", _FILL, "sh", "\n".join(statements), made)
