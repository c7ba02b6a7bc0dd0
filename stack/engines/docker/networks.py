"""Decide which components of a stack share a network, so that `uses` is a fence: pure.

- A component that is published, or may reach the outside, has a network of its own, named after it: through it come
  requests from outside, and what it asks of the outside leaves. Nothing else is on it.
- Each relation has an internal network, `web.db`: the user and what it uses or reaches, and no way out.
- Servers that use nothing, are made from an image and have the same users share the networks of the first of them:
  whatever reaches one of them may reach the others, and Docker has address ranges for about 30 networks in all.
- What has neither is alone on an internal network of its own.
- What waits for a component that ends never reaches it: they share no network for that.
- What runs the code of an app, and not all the time, is beside it on the networks of the app, as far as it may reach
  all that is there; only for the rest it has networks of its own. The networks of others are the same with it and
  without.
- In a stack with `isolated=False` all are on one internal network, and those with a way out on another one too.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import replace

from stack.frozen import dataclass
from stack.model import Stack
from stack.workload import Workload


@dataclass(frozen=True)
class Network:
    """A bridge network and the components on it. An `internal` one has no way out and publishes no port."""

    members: tuple[str, ...]
    internal: bool = True


def joined(planned: Mapping[str, Network]) -> Mapping[str, list[str]]:
    """Return the names of the networks that each component is on, in alphabetical order."""
    found: dict[str, list[str]] = {}
    for name in sorted(planned):
        for member in planned[name].members:
            found.setdefault(member, []).append(name)
    return found


def plan_networks(stack: Stack) -> Mapping[str, Network]:
    """Plan the networks of a stack, by name. A dot separates a user from what it uses: no component has one."""
    workloads = {name: stack.workload(name, "container") for name in stack.names}
    if not stack.isolated:
        return _together(workloads)
    used = _relations(stack)
    # A server that runs none of the stack's own code, and has nothing of its own to reach.
    servers = {name for name, workload in workloads.items() if workload.image is not None and not used[name]}
    guests = {name: app for name in stack.names if _is_guest(stack, name) for app in stack[name].shares}
    position = {name: number for number, name in enumerate(stack.names)}

    def related(user: str, names: Iterable[str], users: Mapping[str, tuple[str, ...]]) -> dict[str, Network]:
        groups: dict[tuple[str, ...], list[str]] = {}
        for name in sorted(names, key=position.__getitem__):
            groups.setdefault(users[name] if name in servers else (name,), []).append(name)
        return {f"{user}.{group[0]}": Network((user, *group)) for group in groups.values()}

    hosts = [name for name in stack.names if name not in guests]
    users = _users({name: used[name] if name in hosts else () for name in stack.names})
    networks = {name: Network((name,), internal=False) for name in hosts if _is_open(workloads[name])}
    for user in hosts:
        networks |= related(user, used[user], users)
    own = dict(networks)
    for guest, app in guests.items():
        joined = [name for name, network in own.items() if _fits(network, app, used[guest])]
        met = {member for name in joined for member in own[name].members}
        networks |= {name: replace(networks[name], members=(*networks[name].members, guest)) for name in joined}
        if all(own[name].internal for name in joined):
            networks[guest] = Network((guest,), internal=False)
        networks |= related(guest, set(used[guest]).difference(met), _users(used))
    reached = {name for network in networks.values() for name in network.members}
    return networks | {name: Network((name,)) for name in stack.names if name not in reached}


def _together(workloads: Mapping[str, Workload]) -> Mapping[str, Network]:
    is_open = tuple(name for name, workload in workloads.items() if _is_open(workload))
    networks = {"inside": Network(tuple(workloads))}
    return networks | {"outside": Network(is_open, internal=False)} if is_open else networks


def _is_guest(stack: Stack, name: str) -> bool:
    return name in stack.jobs or stack[name].timetable is not None


def _fits(network: Network, app: str, used: Collection[str]) -> bool:
    """Say whether what uses these may be beside an app on one of its networks."""
    return network.members[0] == app and set(network.members[1:]).issubset(used)


def _relations(stack: Stack) -> Mapping[str, Sequence[str]]:
    """Return what each component has to reach, without what reaches it by a network that is there already."""
    used: dict[str, list[str]] = {
        name: [each for each in stack[name].needs if each not in stack.jobs] for name in stack.names
    }
    joined = {frozenset((user, name)) for user, names in used.items() for name in names}
    for user in stack.names:
        for name in stack[user].reached:
            if (pair := frozenset((user, name))) not in joined:
                joined.add(pair)
                used[user].append(name)
    return used


def _is_open(workload: Workload) -> bool:
    return bool(workload.published) or workload.hardening.egress


def _users(used: Mapping[str, Sequence[str]]) -> Mapping[str, tuple[str, ...]]:
    """Return the components that use each component."""
    users: dict[str, list[str]] = {name: [] for name in used}
    for user, names in used.items():
        for name in names:
            users[name].append(user)
    return {name: tuple(names) for name, names in users.items()}
