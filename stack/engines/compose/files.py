"""Write the files that Compose and the containers of an instance read, below the instance's state."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from pathlib import Path

from stack.copies import keep_copies, write_copy
from stack.engines.compose import render
from stack.engines.docker import resolving
from stack.engines.variables import given_variables
from stack.instance import FILES, Instance
from stack.state import State

CONFIGURATION = "compose.yaml"
_ESCAPES = str.maketrans({"\\": r"\\", '"': r"\"", "$": r"\$", "\n": r"\n", "\r": r"\r", "\t": r"\t"})


def write_configuration(instance: Instance, name: str = CONFIGURATION) -> Path:
    """Write the project file under a name, and what its containers read.

    Under another name it is for a container beside the services, which is asked by what starts it.
    """
    _write_mounted(instance)
    declared = _write_variables(instance)
    path = State(instance.state).write(instance.generated(name), render.render(instance, checked=name == CONFIGURATION))
    if instance.host is not None:
        # Only for a server is it loaded.
        from stack.engines.compose.carrying import carry

        carry(instance)
    if name == CONFIGURATION:
        for spare in set(instance.configuration.glob("*.env")).difference(declared):
            spare.unlink()
    return path


def _write_mounted(instance: Instance) -> None:
    """Write the files that containers mount. World-readable: their users differ, and the state's folder is private."""
    state = State(instance.state)
    for name in instance.stack.names:
        for file in resolving.workload_of(instance, name).files:
            path = instance.config_file(file)
            if file.tracked:
                state.make_folder(str(path.parent.relative_to(instance.state)))
                if (content := instance.content(file)) is not None:
                    write_copy(path, content)
            elif not path.exists() or path.read_text(encoding="utf-8") != file.text:
                state.write(str(path.relative_to(instance.state)), file.text, mode=0o444)


def _write_variables(instance: Instance) -> list[Path]:
    """Write the variables with secrets and parameters, and return the files: Compose reads each also to stop."""
    state = State(instance.state)
    found = given_variables(instance, "container", functools.partial(resolving.resolve, instance))
    for name, variables in found.items():
        path = instance.variables_file(name)
        if variables is not None or not path.exists():
            state.write(str(path.relative_to(instance.state)), variables_text(variables or {}))
    return [instance.variables_file(name) for name in found]


def variables_text(variables: Mapping[str, str]) -> str:
    """Return a file for `env_file` (https://docs.docker.com/compose/how-tos/environment-variables/variable-interpolation).

    Its format `raw` needs Compose 2.30 and knows no line ends. In double quotes every Compose reads these escapes.
    """
    return "".join(f'{name}="{value.translate(_ESCAPES)}"\n' for name, value in variables.items())


def remove_spare_files(instance: Instance) -> None:
    """Remove the copies of files whose content is another one now; nothing runs with them any more."""
    files = [file for name in instance.stack.names for file in resolving.workload_of(instance, name).files]
    keep_copies(instance.configuration / FILES, {instance.stored_name(file) for file in files})
