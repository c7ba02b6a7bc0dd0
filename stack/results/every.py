"""The result of each command, by the command as it is typed. Only what writes the schemas loads all of them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from stack.results.access import (
    ExecResult,
    Inspected,
    InspectedCache,
    InspectedDatabase,
    JsonSchema,
    LogLines,
    OpenResult,
    RenderResult,
    Variables,
    VariablesResult,
)
from stack.results.branches import BranchList, BranchResult
from stack.results.differences import DiffResult
from stack.results.images import UpdateResult
from stack.results.imported import InitResult, NewProject
from stack.results.instances import StatusResult
from stack.results.lifecycle import (
    DownResult,
    Event,
    FailoverResult,
    NothingToReset,
    ResetResult,
    RotateResult,
    StartResult,
    StopResult,
    UpResult,
    WaitResult,
)
from stack.results.machine import BundledDoctorResult, DoctorResult, LsResult, PruneResult, VersionResult
from stack.results.moves import MoveDeleted, MovePlanned, MoveResult
from stack.results.plans import PlanResult
from stack.results.schema import Schema, envelope_schema, line_schema
from stack.results.stored import (
    AdoptResult,
    DumpResult,
    LoadResult,
    NothingToUpgrade,
    ReplaceResult,
    RestoreResult,
    SnapshotDeleted,
    SnapshotList,
    SnapshotSaved,
    SnapshotShown,
    UpgradeResult,
)

RESULTS: Mapping[str, Any] = {
    "up": UpResult,
    "plan": PlanResult,
    "update": UpdateResult,
    "status": StatusResult,
    "ps": StatusResult,
    "wait": WaitResult,
    "inspect": Mapping[str, Inspected],
    "inspect db": InspectedDatabase,
    "inspect cache": InspectedCache,
    "inspect COMPONENT": Inspected,
    "logs": LogLines,
    "exec": ExecResult,
    "run": ExecResult,
    "open": OpenResult,
    "doctor": DoctorResult | BundledDoctorResult,
    "failover": FailoverResult,
    "rotate": RotateResult,
    "stop": StopResult,
    "start": StartResult,
    "restart": UpResult,
    "down": DownResult,
    "reset": ResetResult | NothingToReset,
    "dump": DumpResult,
    "load": LoadResult | ReplaceResult,
    "seed": LoadResult,
    "snapshot save": SnapshotSaved,
    "snapshot list": SnapshotList,
    "snapshot show": SnapshotShown,
    "snapshot restore": RestoreResult,
    "snapshot delete": SnapshotDeleted,
    "undo": RestoreResult,
    "branch": BranchResult,
    "branch list": BranchList,
    "branch reset": BranchResult,
    "branch delete": ResetResult | NothingToReset,
    "diff": DiffResult,
    "upgrade": UpgradeResult | NothingToUpgrade,
    "move": MoveResult | MovePlanned | MoveDeleted,
    "ls": LsResult,
    "prune": PruneResult,
    "render": RenderResult,
    "env": Variables | VariablesResult,
    "init": InitResult | NewProject | AdoptResult,
    "version": VersionResult,
    "schema": JsonSchema,
}
"""The `data` of the envelope of each command that has `--json`."""

LINES: Mapping[str, Any] = {"events": Event}
"""Each line of a command that prints JSON lines."""


def schema_of_command(command: str, version: int) -> Schema:
    """Return the JSON schema of the output of a command of `RESULTS` or `LINES`."""
    if command in LINES:
        return line_schema(command, LINES[command])
    return envelope_schema(command, RESULTS[command], version)
