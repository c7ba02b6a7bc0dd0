"""What each command reports to programs: frozen dataclasses, a module a group of commands.

The docstring of each has a line a field, from which `docs/json-output.md` is made. To add a command: a dataclass here,
a line in `every.py`, and `make json-docs`.
"""
