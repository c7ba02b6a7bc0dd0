"""A schedule: a command that runs at the times of a cron line."""

from stack.components.schedule.declaration import Schedule

__all__ = ["Schedule"]
