"""What each command reports to programs: frozen dataclasses, a module a group of commands.

The docstring of each has a line a field, from which `docs/json-output.md` is made. To add a command: a dataclass here
and a line in `every.py`.
"""
