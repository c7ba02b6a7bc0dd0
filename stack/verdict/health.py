"""Observe an instance as `up` judges it: the engine's word, an answer from outside, and what was found ready before."""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from stack.engines.base import Engine
from stack.instance import Instance
from stack.observed import Listening, Observed
from stack.verdict.done import recorded, with_done, with_stopped
from stack.verdict.judge import Answer, assess, misplaced
from stack.verdict.probe import Probe, ask, ask_url
from stack.verdict.ready import found_ready

# For a command that looks: an app that needs longer is not healthy either.
_TIMEOUT = 2.0
_quick_probe = partial(ask_url, timeout=_TIMEOUT)


def observe(instance: Instance, engine: Engine, probe: Probe = _quick_probe) -> Observed:
    """Observe the components, each with its health as both engines tell it."""
    observed, applied = engine.observe(), recorded(instance)
    if observed.exists or applied.wanted == "up":
        observed = with_stopped(instance, with_done(instance, observed, applied.jobs))
    # Through a tunnel that is closed nothing answers, however well it is.
    tunnel = engine.tunnel
    reached = tunnel is None or bool(tunnel.ports)
    asked = ask(instance, observed, probe, _TIMEOUT) if reached else {}
    answers = {
        name: answer if answer.ok else _located(name, answer, engine.listening(name, observed.components[name]))
        for name, answer in asked.items()
    }
    return assess(instance.stack, observed, answers, found_ready(instance.state), datetime.now(UTC))


def _located(name: str, answer: Answer, listening: Listening | None) -> Answer:
    """With where the app listens, if that is why it did not answer."""
    found = misplaced(name, listening) if listening else None
    return answer if found is None else Answer(False, f"{found.problem} ({answer.detail})")
