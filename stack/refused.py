"""What stackctl has in the place of a field of Compose, or why it has nothing: for the error about an unknown field."""

from __future__ import annotations

from collections.abc import Mapping

from stack.frozen import dataclass


@dataclass(frozen=True)
class Refused:
    """`problem`: why there is no such field. `instead`: what to declare in its place."""

    problem: str
    instead: str


_BEYOND = "is refused: it opens this machine to the container"
_OWN_NETWORK = "is refused: a container has a network of its own, on which `uses` is the firewall"
_CAPABILITIES = "declare what it needs, like Container(capabilities=['CHOWN']) or tmpfs=['/run']"
_DATA = "data is in volumes={'data': '/data'}, configuration in files={'app.conf': '/etc/app.conf'}"
_USES = Refused("is `uses` here", "declare uses=[db]: it starts after db, reaches it, and gets DB_HOST, DB_PORT, …")
_TERMINAL = Refused("is `terminal` of a Container here", "declare terminal=True for a program that ends without one")
_LIMITED = Refused("has fields of its own here", "declare memory= in MiB, and cpus=")
_LOGS = Refused("is not a field: logs are kept by the engine, 30 MB of each component", "read them: `stackctl logs`")

FIELDS: Mapping[str, Refused] = {
    "privileged": Refused(_BEYOND, _CAPABILITIES),
    "devices": Refused(_BEYOND, "run what needs a device outside of the stack, and give its address in environment="),
    "gpus": Refused(_BEYOND, "run what needs a device outside of the stack, and give its address in environment="),
    "device_cgroup_rules": Refused(_BEYOND, _CAPABILITIES),
    "security_opt": Refused(_BEYOND, _CAPABILITIES),
    "userns_mode": Refused(_BEYOND, _CAPABILITIES),
    "cgroup_parent": Refused(_BEYOND, "declare memory= and cpus="),
    "sysctls": Refused(_BEYOND, "set them on this machine with `sysctl`; ulimits={'nofile': 65536} is a field"),
    "pid": Refused(_BEYOND, "a container sees its own processes; init=True reaps them"),
    "ipc": Refused(_BEYOND, "declare shm=64, the MiB of its own /dev/shm"),
    "uts": Refused(_BEYOND, "leave it out"),
    "docker_socket": Refused(_BEYOND, "leave it out: whatever reaches Docker's socket is root on this machine"),
    "cap_add": Refused("is `capabilities` here", _CAPABILITIES),
    "cap_drop": Refused("is not needed: a component has no capability unless it declares one", "leave it out"),
    "network_mode": Refused(_OWN_NETWORK, "declare ports= and publish=, and what it reaches in uses="),
    "networks": Refused(_OWN_NETWORK, "declare what it reaches in uses=; egress=False cuts a Container off"),
    "network": Refused(_OWN_NETWORK, "declare what it reaches in uses=; egress=False cuts a Container off"),
    "links": _USES,
    "depends_on": _USES,
    "external_links": Refused(_OWN_NETWORK, "give the address in environment="),
    "expose": Refused(
        "is `ports` here",
        "declare ports={'http': 80}; publish={'http': 8080} opens it on 127.0.0.1, and public=True on every address",
    ),
    "container_name": Refused("is not a field: it would allow one instance only", "`stackctl exec NAME` finds it"),
    "dns": Refused("is not a field: the engine resolves the names of components", "declare extra_hosts={'api': IP}"),
    "env_file": Refused("is `env_files` here", "declare env_files=['backend.env']"),
    "secrets": Refused("is not a field", "a component in uses= gives its password as the file DB_PASSWORD_FILE"),
    "configs": Refused("is `files` here", "declare files={'app.conf': '/etc/app.conf'}"),
    "volumes_from": Refused("is not a field", _DATA),
    "volume": Refused("is `volumes` here", _DATA),
    "build": Refused("is `source` here", "declare source='.', and for a Container target= and args="),
    "context": Refused("is `source` here", "declare source='.'"),
    "healthcheck": Refused(
        "is `health` here", "declare health=health.http('/ready'), health.tcp() or health.command(['…'])"
    ),
    "restart_policy": Refused("is `restart` here", "declare restart='always', 'on-failure' or 'no'"),
    "deploy": _LIMITED,
    "mem_limit": _LIMITED,
    "mem_reservation": _LIMITED,
    "memswap_limit": _LIMITED,
    "cpu_shares": _LIMITED,
    "pids_limit": Refused("is not a field: each container may have some hundred processes", "leave it out"),
    "read_only": Refused("is `writable` here", "it is read-only unless a Container declares writable=True"),
    "shm_size": Refused("is `shm` here", "declare shm=64, in MiB"),
    "stop_grace_period": Refused("is `stop_grace` here", "declare stop_grace=20, in seconds"),
    "platform": Refused("is not a field", "name an image for this machine's architecture (`uname -m`)"),
    "pull_policy": Refused("is not a field: `up` pulls what is missing", "`docker pull IMAGE` gets a newer one"),
    "profiles": Refused(
        "is not a field", "put it into a group, Stack(…, groups={'tools': […]}), and `up --with tools`"
    ),
    "scale": Refused("is `replicas` of a Worker", "declare Worker(…, replicas=2)"),
    "logging": _LOGS,
    "tty": _TERMINAL,
    "stdin_open": _TERMINAL,
}
"""By the name of the field."""

EXAMPLES: Mapping[str, str] = {
    "ports": "{'http': 80}; publish={'http': 8080} opens it on this machine",
    "publish": "{'http': 8080} for ports={'http': 80}; public=True opens it to other machines",
    "volumes": "{'data': '/data'}; a file beside the stack file goes to files=, a source folder to mounts=",
    "files": "{'app.conf': '/etc/app.conf'}",
    "mounts": "{'src': '/app/src'}",
    "labels": "{'team': 'shop'}",
    "ulimits": "{'nofile': 65536}",
    "extra_hosts": "{'host.docker.internal': 'host-gateway'}",
    "args": "{'VERSION': '1.2'}",
    "settings": "{'work_mem': '32MB'}",
    "routes": "{'/': web, '/api': api}",
}
"""What the value of a field looks like that is a mapping here and a list in Compose."""
