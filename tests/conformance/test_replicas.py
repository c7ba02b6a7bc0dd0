"""Two workers of one kind: one is added to a running one, both are seen, and the one that ends is named."""

from __future__ import annotations

import re
from pathlib import Path

from tests.cli import Cli
from tests.conformance.engines import on_docker_at_length

STACK = """\
from stack import Stack, Worker

worker = Worker("worker", source="app", command=["python3", "-uc", {code!r}], replicas={replicas})
beat = Worker("beat", source="app", command=["sleep", "1000"], singleton=True)
stack = Stack("team", [worker, beat])
"""


class Team(Cli):
    """The command line for an instance of that stack."""

    def declare(self, replicas: int, code: str = "import time; print('works'); time.sleep(1000)") -> None:
        assert self.file is not None
        self.file.write_text(STACK.format(code=code, replicas=replicas))

    @property
    def worker(self) -> dict[str, object]:
        state: dict[str, object] = self.data("status")["components"]["worker"]
        return state


@on_docker_at_length
def test_replicas_are_scaled_seen_and_judged_one_by_one(engine: str, tmp_path: Path) -> None:
    tmp_path.chmod(0o755)
    (tmp_path / "app").mkdir()
    (tmp_path / "app" / "Dockerfile").write_text("FROM python:3.14-slim\n")
    cli = Team(tmp_path, file=tmp_path / "team.py", engine=engine)
    cli.declare(1)
    try:
        cli.ok("up")
        first = cli.worker
        cli.declare(2)
        (action, beat) = cli.data("plan")["actions"]
        assert (action["action"], beat["action"]) == ("scale", "keep")
        assert action["differences"] == [{"field": "replicas", "before": "1", "after": "2"}]
        assert action["drift"] is False
        assert cli.data("up")["components"]["worker"]["replicas_well"] == 2
        assert "running 2/2" in cli.ok("status").stdout
        now = cli.worker
        assert (now["restarts"], now["state"]) == (0, "running")
        assert now["since"] > first["since"], "since all of it runs"  # type: ignore[operator]
        assert cli.data("up")["changed"] is False
        said = cli.ok("logs", "worker").stdout.splitlines()
        assert sorted(line.split("|")[0].strip() for line in said if "works" in line) == ["worker-1", "worker-2"]
        assert cli.ok("exec", "worker", "--", "echo", "here").stdout == "here\n"
        cli.ok("wait", "--timeout", "30")
        cli.declare(2, "print('ends now'); raise SystemExit(3)")
        failed = cli.run("--json", "up", "--timeout", "40").error
        assert re.search(r"replica [12] of worker", failed["message"]), failed
        assert "ends now" in failed["output"]
        cli.ok("down")
        assert cli.worker["state"] == "absent"
        cli.declare(1)
        assert cli.data("up")["components"]["worker"]["replicas"] == 1
    finally:
        cli.reset()
