"""Tell which files of the machine the servers need, for a user that may not reach all of them."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from pathlib import Path

from stack.capabilities import Programs
from stack.engines.embedded import virtual_env
from stack.engines.embedded.render import declared_process
from stack.engines.embedded.search import links_of, package_folder
from stack.instance import Instance


def needed_files(
    instance: Instance, programs: Mapping[str, Programs], virtual_envs: Mapping[str, Path]
) -> tuple[Path, ...]:
    """Return what supervisord, the servers and the apps read or run. Raises `supervisor-missing` and its like."""
    names = instance.stack.names
    scripts = [script for each in programs.values() for script in each.scripts.values()]
    packages = dict.fromkeys(["supervisor", *(each.package for each in scripts if each.package)])
    prepared = [process for name in names if (process := declared_process(instance, name)) and process.prepare]
    sources = [instance.source(name) for name in names]
    return (
        Path(sys.base_prefix),
        Path(sys.prefix),
        *links_of(Path(sys.executable)),
        Path(__file__).parent,
        *(package_folder(name).parent for name in packages),
        *(script.file for script in scripts),
        *(Path(str(process.prepare[0])) for process in prepared),
        *(folder.parent for each in programs.values() for folder in each.tools),
        *(path for each in programs.values() for path in each.paths.values()),
        *(source for source in sources if source is not None),
        *(path for each in {*virtual_envs.values()} for path in virtual_env.needed_of(each)),
    )
