"""Give a process outside of supervisord the variables of a component, and how it runs."""

from __future__ import annotations

from functools import partial

from stack.engines.base import Local
from stack.engines.embedded.layout import Layout
from stack.engines.embedded.render import process_of, resolve
from stack.engines.variables import given_of, missing_value
from stack.instance import Instance


def local(instance: Instance, layout: Layout, component: str) -> Local:
    process = process_of(instance, component)
    given = given_of(instance, process.given_environment, partial(resolve, layout))
    if given is None:
        raise missing_value(component)
    plain = {name: resolve(layout, value) for name, value in process.plain_environment.items()}
    return Local({**plain, **given}, tuple(resolve(layout, word) for word in process.words or ()))
