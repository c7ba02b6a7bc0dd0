"""Say which keys of a service have no field here, and which are the engine's business. Pure."""

from __future__ import annotations

from collections.abc import Mapping

from stack.importing.project import Notes, Project, Service

BEYOND = "refused: it opens this machine to the container"
_LOST: Mapping[str, str] = {
    **dict.fromkeys(
        ("privileged", "devices", "device_cgroup_rules", "gpus", "sysctls", "pid", "ipc", "uts", "userns_mode",
         "cgroup", "cgroup_parent", "runtime", "credential_spec", "use_api_socket", "storage_opt", "device_read_bps",
         "device_write_bps", "oom_kill_disable", "oom_score_adj"),
        BEYOND,
    ),
    "network_mode": "refused: a container has a network of its own",
    "external_links": "refused: a container of another project is reached at an address in environment=",
    "platform": "has no field: name an image for this machine",
    "group_add": "has no field: name the group in user=",
    "dns": "has no field: the engine resolves names",
    "dns_search": "has no field: the engine resolves names",
    "dns_opt": "has no field: the engine resolves names",
    "mac_address": "has no field",
    "domainname": "has no field: hostname= may have dots",
    "volumes_from": "has no field: name the volumes of each",
    "provider": "has no field: declare an External, or what it provides",
    "models": "has no field: declare a Container, or a Parameter with its address",
    "post_start": "has no field: declare a Job that runs after it",
    "pre_stop": "has no field: the program itself is asked to end",
    "pre_start": "has no field: declare a Job before it",
    "label_file": "has no field: write its labels into labels=",
}  # fmt: skip
_ENGINE: Mapping[str, str] = {
    "restart": "what ends is started again, unless it is a job",
    "container_name": "`stackctl exec NAME` finds it",
    "networks": "what reaches what is in after= and reaches=",
    "logging": "the engine keeps the logs",
    "expose": "a port is in ports=",
    "pull_policy": "`up` pulls what is missing",
    "attach": "`stackctl logs` shows what is asked for",
    "annotations": "the engine's own",
    "blkio_config": "limits are memory= and cpus=",
    "cpu_count": "limits are memory= and cpus=",
    "cpu_percent": "limits are memory= and cpus=",
    "cpu_period": "limits are memory= and cpus=",
    "cpu_quota": "limits are memory= and cpus=",
    "cpu_shares": "limits are memory= and cpus=",
    "cpuset": "limits are memory= and cpus=",
    "mem_reservation": "limits are memory= and cpus=",
    "mem_swappiness": "limits are memory= and cpus=",
    "memswap_limit": "limits are memory= and cpus=",
    "pids_limit": "a component may have some hundred processes",
    "cap_drop": "a component has the capabilities that it declares",
    "isolation": "the engine's own",
    "develop": "`stackctl up --watch` follows the source",
    "init": "an init process is init=",
    "stdin_open": "a terminal is terminal=",
}
_FIELDS = {
    "image", "build", "command", "entrypoint", "environment", "env_file", "ports", "volumes", "depends_on", "links",
    "healthcheck", "user", "tty", "working_dir", "hostname", "labels", "extra_hosts", "ulimits", "tmpfs", "shm_size",
    "stop_signal", "stop_grace_period", "read_only", "cap_add", "security_opt", "deploy", "mem_limit", "cpus",
    "profiles", "scale", "configs", "secrets",
}  # fmt: skip


def note_keys(project: Project, service: Service, notes: Notes) -> None:
    """Note the keys that have no field, and those that are the engine's business."""
    for key, value in service.plain.items():
        if key in _ENGINE and value not in (None, False, [], {}):
            notes.leave(service.name, key, _ENGINE[key])
        elif key in _LOST and value not in (None, False, [], {}, ""):
            if (key, value) not in (("ipc", "private"), ("ipc", "shareable"), ("network_mode", "bridge")):
                notes.lose(service.name, key, _LOST[key])
        elif key not in _FIELDS and not key.startswith("x-") and value not in (None, False, [], {}, ""):
            notes.lose(service.name, key, "has no field")
    deploy = service.plain.get("deploy") or {}
    reserved = ((deploy.get("resources") or {}).get("reservations") or {}).get("devices")
    if reserved:
        notes.lose(service.name, "deploy.resources.reservations.devices", BEYOND)
    for key in deploy:
        if key not in ("resources", "replicas"):
            notes.leave(service.name, f"deploy.{key}", "how copies are placed and replaced")
    for name, joined in (service.plain.get("networks") or {}).items():
        if joined and (joined.get("ipv4_address") or joined.get("ipv6_address")):
            reason = "an address of its own has no form: it is reached by its name"
            notes.lose(service.name, f"networks {name}", reason)
    for name, network in (project.plain.get("networks") or {}).items():
        if (network or {}).get("external") and name in (service.plain.get("networks") or {}):
            reason = f"the network {name} is of another project: what is on it is reached at an address"
            notes.lose(service.name, f"networks {name}", reason)
