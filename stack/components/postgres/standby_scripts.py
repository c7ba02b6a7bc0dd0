"""What a primary and its standby are started by in containers. Pure.

The standby decides by what is on its disk: a copy that it can go on with, or nothing, or the data of a server that was
a primary once. Of the last two it makes a new copy, beside what is there until that is complete.
"""

from __future__ import annotations

from stack.components.postgres.fields import STANDBY_ROLE as ROLE

COPY = "stackctl-copy"
"""In the data of a standby: what tells this copy from all others. A primary waits for one, and keeps its log for it."""
PASSWORD_VARIABLE = "STANDBY_PASSWORD_FILE"  # noqa: S105 - the name of a variable
PRIMARY_PLACE = "/stackctl-primary.sh"
STANDBY_PLACE = "/stackctl-standby.sh"
INITIAL_PLACE = "/docker-entrypoint-initdb.d/stackctl-standby.sh"
INITIAL = f"sh {PRIMARY_PLACE} new\n"
"""The image runs it while it makes new data; it is sourced there, in a shell of another kind."""
PROTECTED = "stackctl-protected"
"""In the data of a primary that acknowledges nothing without its standby."""
HOLDS_ALL = "stackctl-holds-all"
"""In the data of a standby that has all that was acknowledged, and will have."""

NOTES = (COPY, PROTECTED, HOLDS_ALL)
"""What a server knows of the other one: a copy of its data is of another pair."""

# Where only the server of this container reads it: the data itself may be served without a standby one day.
_SETTINGS = "/tmp/stackctl-standby.conf"  # noqa: S108 - in the container

# Without a server, in single-user mode: nothing can connect before the role is as it has to be.
PRIMARY = f"""\
# Made by stackctl: let a standby in, then become the server.
# sh {PRIMARY_PLACE} new, or: sh {PRIMARY_PLACE} sync|async COMMAND…
set -eu
mark="$PGDATA/stackctl-standby"
complete() {{ grep -qxF "$2" "$1" || printf '%s\\n' "$2" >> "$1"; }}
statements() {{
    cat << END
DO 'BEGIN IF to_regrole(''{ROLE}'') IS NULL THEN CREATE ROLE {ROLE}; END IF; END';
ALTER ROLE {ROLE} LOGIN REPLICATION PASSWORD '$(cat "${PASSWORD_VARIABLE}")';
GRANT pg_monitor TO {ROLE};
SELECT 'made ' || rolname FROM pg_roles WHERE rolname = '{ROLE}' AND rolreplication;
END
}}
wanted=$(statements | sha256sum)
# A password is in no log, not even if its statement fails.
quiet="-c log_statement=none -c log_min_error_statement=panic"
admit() {{
    complete "$PGDATA/pg_hba.conf" 'host replication {ROLE} all scram-sha-256'
    complete "$PGDATA/postgresql.conf" "include_if_exists = '{_SETTINGS}'"
}}
if [ "$1" = new ]; then
    admit
    statements | PGOPTIONS=$quiet psql -X -q -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres > /dev/null
    echo "$wanted" > "$mark"
    exit
fi
mode=$1
shift
if [ -e "$PGDATA/standby.signal" ]; then
    echo "stackctl: $PGDATA is that of a standby, and only a failover makes a primary of it" >&2
    exit 1
fi
if [ -s "$PGDATA/PG_VERSION" ]; then
    rm -f "$PGDATA/{HOLDS_ALL}"
    admit
    if [ "$(cat "$mark" 2> /dev/null)" != "$wanted" ]; then
        (umask 077; statements > /tmp/stackctl-role.sql)
        # shellcheck disable=SC2086
        postgres --single -D "$PGDATA" $quiet postgres < /tmp/stackctl-role.sql > /tmp/stackctl-role.out 2>&1 || true
        rm /tmp/stackctl-role.sql
        if ! grep -q '"made {ROLE}"' /tmp/stackctl-role.out; then
            cat /tmp/stackctl-role.out >&2
            exit 1
        fi
        echo "$wanted" > "$mark"
    fi
fi
if [ "$mode" = sync ] && [ -e "$PGDATA/{PROTECTED}" ]; then
    cp "$PGDATA/{PROTECTED}" {_SETTINGS}
fi
exec "$@"
"""  # noqa: S608 - constants

PROTECT = f"""\
set -eu
printf "synchronous_standby_names = '\\"%s\\"'\\n" "$1" > "$PGDATA/{PROTECTED}.new"
sync "$PGDATA/{PROTECTED}.new"
mv "$PGDATA/{PROTECTED}.new" "$PGDATA/{PROTECTED}"
cp "$PGDATA/{PROTECTED}" {_SETTINGS}
exec psql -X -q -A -t -U "$POSTGRES_USER" -d postgres -c 'SELECT pg_reload_conf()'
"""
"""What lets a primary that runs acknowledge nothing without a copy, the name of which is its argument."""

# PG_VERSION is what makes a folder the data of a server, so it comes last.
STANDBY = f"""\
# Made by stackctl: follow another server with a copy of its data.
# sh {STANDBY_PLACE} check, or: sh {STANDBY_PLACE} follow SETTINGS…
set -u
umask 077
export PGPASSFILE=/tmp/stackctl-passwords
printf '%s:*:*:{ROLE}:%s\\n' "$PRIMARY_HOST" "$(cat "${PASSWORD_VARIABLE}")" > "$PGPASSFILE.$$"
mv "$PGPASSFILE.$$" "$PGPASSFILE"
primary="host=$PRIMARY_HOST user={ROLE} passfile=$PGPASSFILE connect_timeout=3"
new="$PGDATA/stackctl-filling"
ask() {{ psql -X -q -A -t -w -d "$primary dbname=postgres" -c "$1" 2> /dev/null; }}
own() {{ psql -X -q -A -t -w -d "dbname=postgres user=$POSTGRES_USER" -c "$1"; }}
copy() {{ cat "$PGDATA/{COPY}" 2> /dev/null; }}
kept() {{
    ask "SELECT coalesce(max(wal_status), 'lost') FROM pg_replication_slots WHERE slot_name = '{ROLE}_$(copy)'"
}}

check() {{
    [ "$(own 'SELECT pg_is_in_recovery()')" = t ] || exit 1
    if [ "$STANDBY_MODE" = async ]; then
        rm -f "$PGDATA/{HOLDS_ALL}"
    elif [ ! -e "$PGDATA/{HOLDS_ALL}" ]; then
        sure="SELECT pg_current_wal_flush_lsn() FROM pg_stat_replication"
        until_here=$(ask "$sure WHERE application_name = '$STANDBY_NAME-$(copy)' AND sync_state = 'sync'")
        if [ -n "$until_here" ] && [ "$(own "SELECT pg_last_wal_receive_lsn() >= '$until_here'")" = t ]; then
            touch "$PGDATA/{HOLDS_ALL}"
        fi
    fi
    if [ "$(own "SELECT status FROM pg_stat_wal_receiver")" = streaming ]; then
        touch /tmp/stackctl-followed
        exit 0
    fi
    # What the primary does not answer is no fault of this server, which may be needed now.
    wal=$(kept) || exit 0
    [ "$wal" != lost ] && [ -e /tmp/stackctl-followed ]
}}

fill() {{
    rm -rf "$new"
    mkdir -p "$PGDATA"
    # There is one standby: what another copy had is of no use any more, and may seem to be there for a while.
    slots="FROM pg_replication_slots WHERE slot_name LIKE '{ROLE}\\_%'"
    if ! ask "SELECT pg_terminate_backend(active_pid) $slots AND active_pid IS NOT NULL" > /dev/null; then
        echo "stackctl: $PRIMARY_HOST does not let this standby in yet"
        return 1
    fi
    ask "SELECT pg_drop_replication_slot(slot_name) $slots" > /dev/null || return 1
    echo "stackctl: copying all data of $PRIMARY_HOST"
    id=$(od -An -N6 -tx1 /dev/urandom | tr -d ' ')
    pg_basebackup -w -d "$primary" -D "$new" -X stream -C -S "{ROLE}_$id" -c fast &
    wait $! || return 1
    rm -rf "$new/{PROTECTED}" "$new/{HOLDS_ALL}" "$new/stackctl-filling"
    echo "$id" > "$new/{COPY}"
    touch "$new/standby.signal"
    sync
    touch "$new/stackctl-complete"
}}

swap() {{
    if [ ! -e "$new/stackctl-cleared" ]; then
        find "$PGDATA" -mindepth 1 -maxdepth 1 ! -name stackctl-filling -exec rm -rf {{}} +
        touch "$new/stackctl-cleared"
    fi
    for each in "$new"/* "$new"/.[!.]*; do
        case ${{each##*/}} in
            PG_VERSION | stackctl-complete | stackctl-cleared | '*' | '.[!.]*') ;;
            *) mv "$each" "$PGDATA/" ;;
        esac
    done
    [ ! -e "$new/PG_VERSION" ] || mv "$new/PG_VERSION" "$PGDATA/"
    sync
    rm -rf "$new"
}}

if [ "$1" = check ]; then
    check
    exit
fi
shift
trap 'kill $! 2> /dev/null; exit 143' INT TERM
if [ -e "$new/stackctl-complete" ]; then
    swap
elif [ -s "$PGDATA/PG_VERSION" ] && [ -e "$PGDATA/standby.signal" ]; then
    rm -rf "$new"
    # A primary that does not answer may be gone: then this is what is left.
    wal=$(kept) && [ "$wal" = lost ] && rm "$PGDATA/standby.signal" \\
        && echo "stackctl: $PRIMARY_HOST no longer has what this copy lacks"
fi
while [ ! -e "$PGDATA/standby.signal" ] || [ ! -s "$PGDATA/PG_VERSION" ]; do
    if fill; then
        swap
    else
        sleep 1 &
        wait $!
    fi
done
chmod 0700 "$PGDATA"
exec postgres -c primary_conninfo="$primary application_name=$STANDBY_NAME-$(copy)" \\
    -c primary_slot_name="{ROLE}_$(copy)" -c wal_retrieve_retry_interval=1s -c wal_receiver_timeout=10s \\
    -c hot_standby=on "$@"
"""  # noqa: S608 - constants

PROMOTE = """\
[ -e "$PGDATA/standby.signal" ] || exec test -s "$PGDATA/PG_VERSION"
left=300
until [ "$left" -le 0 ] || pg_isready -q; do left=$((left - 1)); sleep 0.2; done
exec psql -X -q -A -t -v ON_ERROR_STOP=1 -U "$POSTGRES_USER" -d postgres -c 'SELECT pg_promote(true, 60)'
"""
"""What lets a standby accept writes, which may have started just now; one that does already no longer has the file."""
