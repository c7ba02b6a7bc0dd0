"""Several of one worker at once: what is declared, what each engine makes of it, and how they are summed up."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml

from stack import DeclarationError, Stack, Worker
from stack.applied import Applied
from stack.comparison import Declared, make_plan
from stack.engines.compose.observe import observed as compose_observed
from stack.engines.compose.render import render
from stack.engines.docker.labels import LABEL_DECLARATION
from stack.engines.embedded import observe as embedded_observe
from stack.engines.embedded import render as embedded
from stack.engines.embedded.layout import Layout, component_of, home_of, number_of
from stack.fields import Fields, fingerprint
from stack.instance import Instance
from stack.observed import ComponentState, Observed, instance_state, together, worst_of
from stack.plan import Action
from stack.verdict.judge import assess, called, changed, identity, is_well, judge, loops, restarted, settled
from stack.workflow.summary import component_statuses, overall, problem
from tests.unit.test_compose_states import CONTAINER, STATE

NOW = datetime(2026, 1, 2, 12, tzinfo=UTC)
OLD = NOW - timedelta(hours=1)
UP = ComponentState("one", "running", "none", 0, 0, False, OLD, "image", process=7, memory_limit=100)
SECOND = replace(UP, id="two", number=2, process=8)
ENDED = replace(SECOND, state="exited", exit_code=3)


def worker(**options: Any) -> Worker:
    return Worker("worker", image="redis:8", command=["work"], **options)


def instance(replicas: int = 2) -> Instance:
    return Instance("shop", "p", Stack("shop", [worker(replicas=replicas)]), Path("/"), Path("/state"), {})


WRONG: dict[str, Callable[[], object]] = {
    "worker/replicas: 0 is not a number of replicas (1-100)": lambda: worker(replicas=0),
    "worker/replicas: 101 is not a number of replicas (1-100)": lambda: worker(replicas=101),
    "worker/replicas: True is not a number of replicas (1-100)": lambda: worker(replicas=True),
    "worker/replicas: 2.0 is not a number of replicas (1-100)": lambda: worker(replicas=2.0),
    "worker/replicas: '2' is not a number of replicas (1-100)": lambda: worker(replicas="2"),
    "worker/singleton: 'yes' is neither True nor False": lambda: worker(singleton="yes"),
    "worker/replicas: 2 is more than the one of a singleton; leave one of both out": lambda: worker(
        replicas=2, singleton=True
    ),
}


@pytest.mark.parametrize(("message", "make"), WRONG.items(), ids=WRONG)
def test_a_wrong_value_raises_with_its_path(message: str, make: Callable[[], object]) -> None:
    with pytest.raises(DeclarationError) as raised:
        make()
    assert raised.value.message == message


def test_compose_scales_a_service_that_is_otherwise_the_same() -> None:
    one, two = (yaml.safe_load(render(instance(count)))["services"]["worker"] for count in (1, 2))
    assert "scale" not in one
    assert two == {**one, "scale": 2}
    assert two["labels"][LABEL_DECLARATION] == one["labels"][LABEL_DECLARATION]


def layout(made: Instance) -> Layout:
    return Layout(home_of(made), {}, {})


def test_a_second_process_leaves_the_first_as_it_is() -> None:
    stack = Stack("shop", [Worker("worker", source=".", command=["work"], replicas=3)])
    three = replace(instance(), stack=stack)
    one = replace(three, stack=Stack("shop", [Worker("worker", source=".", command=["work"])]))
    parts = embedded.sections(embedded.render(three, layout(three)))
    assert [*parts] == ["worker", "worker.2", "worker.3"]
    assert parts["worker"] == embedded.sections(embedded.render(one, layout(one)))["worker"].rstrip() + "\n\n"
    assert "runs/worker.2 " in parts["worker.2"]
    assert "logs/worker.2.log" in parts["worker.2"]
    assert embedded.fields(three, layout(three)) == embedded.fields(one, layout(one))
    assert [(component_of(each), number_of(each)) for each in parts] == [("worker", 1), ("worker", 2), ("worker", 3)]


def container(number: int, **state: object) -> dict[str, Any]:
    labels = {"com.docker.compose.service": "worker", "com.docker.compose.container-number": str(number)}
    config = {"Image": "redis:8", "Labels": labels}
    return CONTAINER | {"Id": f"id{number}", "Config": config, "State": STATE | {"Health": None} | state}


def test_the_containers_of_a_service_are_its_replicas() -> None:
    # Docker lists the newest first.
    found = compose_observed(instance(), [container(2, Status="exited", ExitCode=3), container(1)]).components["worker"]
    assert [(each.number, each.id) for each in found.each] == [(1, "id1"), (2, "id2")]
    assert (found.summary, found.restarts, found.first.id) == ("exited (3) 1/2", 4, "id1")


def test_a_container_that_is_being_replaced_is_no_replica() -> None:
    found = compose_observed(instance(1), [container(1), container(1, Status="created")]).components["worker"]
    assert (found.state, found.replicas) == ("created", ())


def test_the_programs_of_a_component_are_its_replicas() -> None:
    states = {"worker": UP, "worker.2": ENDED, "gone": UP}
    found = embedded_observe.by_component(states, instance())
    assert (found["worker"].summary, found["gone"].replicas) == ("exited (3) 1/2", ())


def test_the_whole_is_as_its_worst_replica() -> None:
    young = replace(SECOND, since=NOW, restarts=2, health="unhealthy", health_output="no")
    whole = together([young, replace(UP, restarts=1)], 2)
    assert (whole.word, whole.number, whole.health_output) == ("unhealthy", 2, "no")
    assert (whole.id, whole.since, whole.restarts, whole.memory_limit) == ("one two", NOW, 3, 200)
    assert (whole.running, whole.well, whole.summary) == (True, False, "unhealthy 1/2")


def test_a_single_one_is_all_there_is() -> None:
    assert together([UP], 1) is UP
    assert (UP.each, UP.count) == ((UP,), "")


def test_the_whole_runs_as_long_as_any_does() -> None:
    whole = together([replace(UP, state="exited"), SECOND], 2)
    assert (whole.running, whole.well, whole.first.id) == (True, False, "two")


def test_a_replica_that_is_missing_makes_it_unhealthy() -> None:
    whole = together([UP], 2)
    assert (whole.summary, problem(whole)) == ("unhealthy 1/2", "1 of its 2 replicas is not there")
    seen = Observed({"worker": whole})
    assert (settled(["worker"], seen), overall(instance(), seen)) == (False, "degraded")


@pytest.mark.parametrize(("words", "worst"), [(["healthy", "exited"], "exited"), (["starting", "running"], "starting")])
def test_a_list_of_words_has_a_worst(words: Any, worst: str) -> None:
    assert worst_of(words) == worst
    assert instance_state({"worker": worst_of(words)}) != "up"


BOTH = Observed({"worker": together([UP, SECOND], 2)})
ONE_ENDED = Observed({"worker": together([UP, ENDED], 2)})


def test_all_replicas_have_to_be_well() -> None:
    assert settled(["worker"], BOTH)
    assert judge(instance().stack, BOTH, BOTH) is None
    stale = replace(SECOND, health="healthy", health_at=OLD - timedelta(1))
    assert not is_well(together([UP, stale], 2))


def test_a_failure_names_the_replica() -> None:
    failure = judge(instance().stack, ONE_ENDED, BOTH)
    assert failure is not None
    assert (failure.component, failure.problem) == ("worker", "replica 2 of worker ended (exit code 3)")
    assert called("worker", ONE_ENDED.components["worker"]) == "replica 2 of worker"
    assert called("worker", BOTH.components["worker"]) == "worker"
    assert problem(ONE_ENDED.components["worker"]) == "replica 2 is exited"


def test_restarts_are_counted_for_each_replica() -> None:
    before = Observed({"worker": together([replace(UP, restarts=5), SECOND], 2)})
    after = Observed({"worker": together([replace(UP, restarts=6), replace(SECOND, restarts=2)], 2)})
    assert restarted(before, after) == {"worker": 3}
    assert loops(before, after) == set(), "none of them was started three times"
    assert judge(instance().stack, after, before) is None
    worse = Observed({"worker": together([UP, replace(SECOND, restarts=9, state="restarting")], 2)})
    assert loops(before, worse) == {"worker"}


def test_an_old_replica_that_ends_because_it_is_replaced_did_not_fail() -> None:
    replacing = Observed({"worker": together([ENDED, replace(UP, id="new", since=NOW)], 2)})
    fresh = changed(BOTH, replacing, ["worker"])
    assert judge(instance().stack, fresh, BOTH) is None
    failing = together([ENDED, replace(UP, id="new", since=NOW, state="exited", exit_code=4)], 2)
    failure = judge(instance().stack, changed(BOTH, Observed({"worker": failing}), ["worker"]), BOTH)
    assert failure is not None
    assert failure.problem == "replica 1 of worker ended (exit code 4)"


def test_a_new_replica_is_new_and_the_old_ones_are_not_forgotten() -> None:
    one, two = (
        Observed({"worker": together([UP], 2)}),
        Observed({"worker": together([UP, replace(SECOND, since=NOW)], 2)}),
    )
    assert changed(one, two).exists
    assert not changed(two, two).exists
    assert (
        restarted(
            Observed({"worker": replace(UP, restarts=4)}),
            Observed({"worker": together([replace(UP, restarts=4), SECOND], 2)}),
        )
        == {}
    )


def test_the_health_of_each_replica_is_assessed() -> None:
    looping = replace(SECOND, restarts=1, since=NOW)
    seen = Observed({"worker": together([UP, looping], 2)})
    state = assess(instance().stack, seen, {}, {"worker": identity(seen.components["worker"])}, NOW).components[
        "worker"
    ]
    assert (state.word, state.number, state.summary) == ("unstable", 2, "unstable 1/2")
    assert problem(state) == "replica 2 was started again once, the last time a moment ago"


def test_json_says_how_many_are_well() -> None:
    state = component_statuses(instance(), ONE_ENDED)["worker"]
    assert (state.state, state.replicas, state.replicas_well, state.restarts) == ("exited", 2, 1, 0)
    absent = component_statuses(instance(), Observed({}))["worker"]
    assert (absent.replicas, absent.replicas_well) == (2, 0)


WORKER: Fields = {"image": "redis:8"}
MADE = Applied(wanted="up", components=["worker"], fields={fingerprint(WORKER): WORKER})


def planned(*states: ComponentState, wanted: int = 2, made: Applied = MADE) -> Action:
    replicas = {"worker": wanted} if wanted != 1 else {}
    known = [replace(each, declaration=each.declaration or fingerprint(WORKER), image_id="i") for each in states]
    there = Observed({"worker": together(known, wanted)}, images={"worker": "i"})
    return make_plan("shop", "compose", Declared({"worker": WORKER}, replicas=replicas), made, there).actions[0]


def test_another_number_of_replicas_is_no_recreation() -> None:
    assert str(planned(UP)) == "worker: scale, because replicas 1 → 2"
    fewer = planned(UP, SECOND, wanted=1, made=replace(MADE, replicas={"worker": 2}))
    assert (str(fewer), fewer.drift) == ("worker: scale, because replicas 2 → 1", False)
    assert planned(UP, SECOND).kind == "keep"


def test_a_number_that_was_changed_by_hand_is_drift() -> None:
    by_hand = planned(UP, made=replace(MADE, replicas={"worker": 2}))
    assert (by_hand.kind, by_hand.drift, by_hand.why) == ("scale", True, "it was changed by hand; replicas 1 → 2")


def test_a_replica_that_is_not_as_declared_recreates_all() -> None:
    before: Fields = {"image": "redis:7"}
    made = replace(MADE, fields={**MADE.fields, fingerprint(before): before})
    action = planned(UP, replace(SECOND, declaration=fingerprint(before)), made=made)
    assert (action.kind, action.why) == ("recreate", "image redis:7 → redis:8")
    both = planned(replace(UP, declaration=fingerprint(before)), made=made)
    assert (both.kind, both.why) == ("recreate", "image redis:7 → redis:8; replicas 1 → 2")


def test_a_replica_that_ended_is_started() -> None:
    assert planned(UP, ENDED).kind == "start"


def test_the_number_is_remembered_for_the_next_plan() -> None:
    made = MADE.made({"worker": "mark"}, [WORKER], {}, {}, {"worker": 2})
    assert made.replicas == {"worker": 2}
    assert made.made({"worker": "mark"}, [WORKER], {}, {}).replicas == {}
