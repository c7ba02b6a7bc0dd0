"""The engines that can run on this machine."""

from __future__ import annotations

from collections.abc import Mapping

import pytest

from tests.servers import MISSING

COMPOSE = pytest.param("compose", marks=pytest.mark.docker)
_WITHOUT_SERVERS = pytest.mark.skipif(MISSING is not None, reason=str(MISSING))
EMBEDDED = pytest.param("embedded", marks=_WITHOUT_SERVERS)

# What takes three hosts takes longer: of the tests in ON_A_SWARM each runs there too, in the long run of the tests.
SWARM = pytest.param("swarm", marks=[pytest.mark.swarm, pytest.mark.long])
SERVER = pytest.param("server", marks=[pytest.mark.docker, pytest.mark.ssh])

_AT_LENGTH = pytest.param("compose", marks=[pytest.mark.docker, pytest.mark.long])

# For what no engine does in a way of its own: on one of them, which takes half as long.
on_one_engine = pytest.mark.parametrize("engine", [EMBEDDED], indirect=True, scope="module")
# For what has to be right on every engine, and on others than this one in the long run of the tests.
on_docker_at_length = pytest.mark.parametrize("engine", [EMBEDDED, _AT_LENGTH, SWARM], indirect=True, scope="module")
# For what has to be right on a server too: what passes data, files or a terminal through SSH.
on_a_server_too = pytest.mark.parametrize("engine", [COMPOSE, EMBEDDED, SERVER], indirect=True, scope="module")
# The same, if on a server it is enough in the long run of the tests.
_SERVER_AT_LENGTH = pytest.param("server", marks=[pytest.mark.docker, pytest.mark.ssh, pytest.mark.long])
on_a_server_at_length = pytest.mark.parametrize(
    "engine", [COMPOSE, EMBEDDED, _SERVER_AT_LENGTH], indirect=True, scope="module"
)
# The same, if on this machine's Docker it is enough there too.
on_containers_at_length = pytest.mark.parametrize(
    "engine", [EMBEDDED, _AT_LENGTH, _SERVER_AT_LENGTH, SWARM], indirect=True, scope="module"
)
# The same, if a Swarm has no such thing.
on_other_engines_at_length = pytest.mark.parametrize(
    "engine", [EMBEDDED, _AT_LENGTH, _SERVER_AT_LENGTH], indirect=True, scope="module"
)
# For what has to be right on every engine, and on others than Docker in the long run of the tests.
_EMBEDDED_AT_LENGTH = pytest.param("embedded", marks=[_WITHOUT_SERVERS, pytest.mark.long])
on_others_at_length = pytest.mark.parametrize(
    "engine", [COMPOSE, _EMBEDDED_AT_LENGTH, SWARM], indirect=True, scope="module"
)
# For what only an engine for containers has.
on_compose = pytest.mark.parametrize("engine", [COMPOSE], indirect=True, scope="module")

# By file, or by a test of it.
ON_A_SWARM = (
    "test_any_component.py",
    "test_branching.py",
    "test_exactness.py::test_a_database_that_was_emptied",
    "test_failures.py::test_a_database_whose_first_start",
    "test_failures.py::test_an_app_that_no_request",
    "test_groups.py",
    "test_interruptions.py::test_an_interrupted_command_loses_nothing[swarm-down",
    "test_jobs.py::test_a_job",
    "test_jobs.py::test_what_waits",
    "test_jobs.py::test_a_schedule",
    "test_jobs.py::test_an_up_that_is_cut_off_while_a_job",
    "test_one_offs.py::test_a_one_off_command_ends_with_its",
    "test_plan.py::test_what_was_",
    "test_thin_kinds.py",
    "test_parameters.py",
    "test_replicas.py",
    "test_snapshots.py::test_a_snapshot",
)

_NO_TOOL = "no variable leads Docker's own tools to a component"
_HERE = "its ports are those of nodes, and not of this machine"
_OBJECTS = "secrets and files are objects of the Swarm, which new tasks alone get"
_ON_A_NODE = "a file of its data is changed by the daemon of this machine"
_TAKEN_BACK = "a Swarm itself runs the version before again"
# What can't be there, and why.
NOT_ON_A_SWARM: Mapping[str, str] = {
    "test_use.py::test_a_component_that_does_not_run_is_told": _NO_TOOL,
    "test_one_offs.py::test_a_one_off_command_needs": _NO_TOOL,
    "test_one_offs.py::test_an_app_runs_as_a_local_process": "no process of this machine can be reached by its nodes",
    "test_thin_kinds.py::test_a_target_that_is_down": "the version before runs again there, so the target answers",
    "test_databases.py::test_a_published": _HERE,
    "test_databases.py::test_a_public": _HERE,
    "test_containers.py::test_all_of_it_is_up": _HERE,
    "test_containers.py::test_a_public_port": _HERE,
    "test_failures.py::test_a_database_of_another_version": _ON_A_NODE,
    "test_failures.py::test_a_database_that_may_not_read": _ON_A_NODE,
    "test_failures.py::test_a_port_that_is_taken": _HERE,
    "test_failures.py::test_a_worker_that_ends_once": "how busy a processor of a node is can't be seen from here",
    "test_failures.py::test_an_app_that_crashes_later": _TAKEN_BACK,
    "test_fleet.py::test_a_chosen_port": _HERE,
    "test_fleet.py::test_leftovers": "where it answers is asked of its state, which was deleted",
    "test_fleet.py::test_ls_without_docker": "nothing of it is anywhere else",
    "test_fleet.py::test_prune_keeps_what_was_not": "a Swarm is asked for what was made from here alone",
    "test_plan.py::test_what_fails": _TAKEN_BACK,
    "test_pytest_plugin.py": "the tests that it runs ask the daemon of this machine",
    "test_roles.py::test_the_declared_user": _HERE,
    "test_snapshots.py::test_what_is_saved_under_load": _HERE,
    "test_seeing.py::test_doctor": "doctor looks at nodes, and not at what this machine has",
    "test_values.py::test_a_rotation_recreates_only": _OBJECTS,
    "test_rotate.py::test_secrets_deleted_while_it_runs": _OBJECTS,
}


def runs_on_a_swarm(nodeid: str, everything: bool) -> bool:
    """Say whether a test runs on a Swarm: if it is in ON_A_SWARM, or with `everything` if it can."""
    if any(each in nodeid for each in NOT_ON_A_SWARM):
        return False
    return everything or any(each in nodeid for each in ON_A_SWARM)
