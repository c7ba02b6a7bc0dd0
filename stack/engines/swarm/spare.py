"""Remove what an instance has in a Swarm and nothing uses any more. Swarm refuses for what is in use."""

from __future__ import annotations

from collections.abc import Collection, Iterable

from stack.engines.docker import client
from stack.engines.docker.objects import READ_TIMEOUT
from stack.engines.swarm import arguments, machine
from stack.engines.swarm.observe import Service
from stack.frozen import dataclass


@dataclass(frozen=True)
class Kind:
    """Objects that services read: `word` as the client names them, `path` of their list, `key` in what tasks have."""

    word: str
    path: str
    key: str


SECRETS = Kind("secret", "/secrets", "Secrets")
CONFIGS = Kind("config", "/configs", "Configs")
KINDS = (SECRETS, CONFIGS)


def remove(kind: Kind, label: str, services: Iterable[Service]) -> None:
    """Remove the objects of one kind that no service has."""
    read = [each for service in services for each in service.template["ContainerSpec"].get(kind.key) or ()]
    used = {each[f"{kind.key[:-1]}ID"] for each in read}
    left = [each["ID"] for each in machine.listed(kind.path, label) if each["ID"] not in used]
    if left:
        client.run(arguments.remove_objects(kind.word, left), READ_TIMEOUT)


def remove_networks(label: str, declared: Collection[str]) -> None:
    """Remove the networks that are no longer declared."""
    left = [each["Name"] for each in machine.listed("/networks", label) if each["Name"] not in declared]
    if left:
        client.run(arguments.remove_objects("network", left), READ_TIMEOUT)
