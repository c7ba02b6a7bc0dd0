"""What the embedded engine has on this machine, of all instances of this user."""

from __future__ import annotations

from stack.engines.embedded.checks import configuration_of
from stack.engines.embedded.identity import ROOT_HOMES
from stack.instance import name_of_project
from stack.ports import Holder, Listener


class EmbeddedFleet:
    """See `stack.engines.base.Fleet`."""

    name = "embedded"

    def holder(self, port: int, listener: Listener | None) -> Holder | None:
        for words in listener.lineage if listener else ():
            if (configuration := configuration_of(words)) is None:
                continue
            home = configuration.parent.parent
            instance = name_of_project(home.name) if home.parent == ROOT_HOMES else home.parent.name
            who = f"{listener}, of the instance {instance!r} ({home})"
            return Holder(who, f"`stackctl --instance {instance} stop`")
        return None
