"""Give a role of PostgreSQL a password without the password standing in any statement."""

from __future__ import annotations

import base64
import hashlib
import hmac
import secrets

from stack.components.postgres.declaration import Postgres

_ITERATIONS = 4096


def password_statement(database: Postgres, password: str) -> str:
    """The SQL that gives its user a password, which stands nowhere in it, whatever the role is set to."""
    return f"SET transaction_read_only = off; ALTER ROLE \"{database.user}\" PASSWORD '{scram(password)}'"


def scram(password: str) -> str:
    """What PostgreSQL keeps of a password: it stands in no statement, argument or log itself (RFC 5802, RFC 7677)."""
    salt = secrets.token_bytes(16)
    salted = hashlib.pbkdf2_hmac("sha256", password.encode(), salt, _ITERATIONS)
    client = hashlib.sha256(_hmac(salted, b"Client Key")).digest()
    parts = [base64.b64encode(part).decode() for part in (salt, client, _hmac(salted, b"Server Key"))]
    return f"SCRAM-SHA-256${_ITERATIONS}:{parts[0]}${parts[1]}:{parts[2]}"


def _hmac(key: bytes, message: bytes) -> bytes:
    return hmac.new(key, message, hashlib.sha256).digest()
