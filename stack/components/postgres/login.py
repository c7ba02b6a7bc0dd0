"""The declared user of a PostgreSQL; see `stack.capabilities.Login`."""

from __future__ import annotations

from stack.capabilities import Completed, Session
from stack.components.postgres.declaration import Postgres
from stack.components.postgres.password import password_statement
from stack.components.postgres.server import Server
from stack.frozen import dataclass
from stack.references import SecretReference


@dataclass(frozen=True)
class PostgresLogin:
    """Inside, on the server's own socket, no password is asked."""

    database: Postgres

    @property
    def secret(self) -> SecretReference:
        return self.database.password

    @property
    def account(self) -> str:
        return f"PostgreSQL accepts the password of {self.database.user}"

    def verify(self, session: Session, patience: float = 0) -> Completed:
        return self.database.verify(session, patience)

    def answers(self, session: Session) -> bool:
        return Server(self.database, session).run(self.database.query("SELECT 1")).ok

    def change(self, session: Session, password: str) -> Completed:
        server = Server(self.database, session)
        return server.run(self.database.query(password_statement(self.database, password), user=server.admin))
