"""`stackctl reset`: delete an instance with its data, after saying what that is."""

from __future__ import annotations

from stack.progress import Progress
from stack.report import Report
from stack.results.lifecycle import NothingToReset, ResetResult
from stack.settings import Settings
from stack.workflow.confirming import Confirm
from stack.workflow.resetting import reset_instance


def reset(
    settings: Settings, progress: Progress, confirm: Confirm, saves: bool = True, accepts: bool = False
) -> Report[ResetResult | NothingToReset]:
    """Delete containers, networks, volumes, built images and state. `confirm` decides."""
    return reset_instance(settings, progress, confirm, saves, accepts)
