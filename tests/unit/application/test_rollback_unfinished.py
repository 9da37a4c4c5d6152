"""Unit: what a lock wants is live only once that was seen - rollbacks among ways back that did not get there."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.adapters.email.message import mime_message
from shared.application.drift import Drift
from shared.application.ports import Ports, ProvisioningState
from shared.application.queries import Queries
from shared.application.rollback_preview import CircuitPreview, Previews
from shared.application.rollbacks import RollbackRequest
from shared.application.steps.restore import restore
from shared.application.work import Work
from shared.application.worker import Worker
from shared.domain.commands import RunStep, StepKind
from shared.domain.errors import RequestRefused, TransientError
from shared.domain.events import CircuitEvent, StillRunning
from shared.domain.model import CircuitPhase, Moment, ReleasePhase
from shared.pages import render_release
from tests.support.builders import CIRCUIT, OTHER_CIRCUIT, THIRD_CIRCUIT
from tests.support.circuit_world import ESTATE
from tests.support.pipeline_world import PipelineWorld
from tests.support.rolled import (
    ENDPOINT,
    FIRST,
    FOURTH,
    IDS,
    OTHER_ENDPOINT,
    PRODUCTION,
    SECOND,
    THIRD,
    refuse_switches,
    released,
    reverted,
    with_stuck_restore,
)

WAYS = [
    {"circuits": (CIRCUIT,)},
    {"circuits": (CIRCUIT,), "to": SECOND},
    {"circuits": (CIRCUIT,), "seen": {CIRCUIT: THIRD}},
    {"release_id": IDS[2], "only": (CIRCUIT,)},
]


class KilledError(BaseException):
    """The process ends here."""


# --------------------------------------------------------------------------- a restore that did not get there (D11)


@pytest.mark.parametrize("columns", WAYS)
def test_a_circuit_whose_restore_got_stuck_is_brought_to_what_the_restore_wanted(
    world: PipelineWorld, columns: dict[str, object]
) -> None:
    """D11, D13: by any way it is asked for, not one too far, and it is said that this one goes on."""
    with_stuck_restore(world)
    assert (world.live_default(), world.lock().want) == (THIRD, SECOND)

    started = world.roll_back(**columns)  # type: ignore[arg-type]  # columns of the request
    world.run()

    assert world.live_default() == SECOND == world.lock().want
    assert world.phase(started.rollback_id) is ReleasePhase.SUCCEEDED
    assert ("to" in columns) or f"{IDS[2]} has not brought {SECOND} back" in started.notes[0]
    assert world.circuit(CIRCUIT, IDS[1]).phase is CircuitPhase.LIVE
    assert world.lock().leaves == ""


def test_its_page_shows_what_is_live_and_what_comes_back(world: PipelineWorld) -> None:
    """D11: nobody changed it outside; the app itself did not get there."""
    with_stuck_restore(world)

    shown = of(world, release_id=IDS[2])

    assert (shown.live, shown.target.to, shown.healthy) == (THIRD, SECOND, True)
    assert not any("outside" in line for line in shown.attention)


def test_mail_and_page_of_a_release_that_is_stuck_half_way_back_lead_to_its_rollback(world: PipelineWorld) -> None:
    """D11: whoever is told that production is in between can put it right from there."""
    with_stuck_restore(world)

    letters = [x for x in world.mail.letters if x.notice.moment is Moment.RELEASE_FAILED]
    assert letters
    for letter in letters:
        assert letter.rollback_link
        text = mime_message(letter, sender="releases@example.com", estate=ESTATE).as_string()
        assert text.count(f"Code: {letter.rollback_link.code}") == 1
    assert "Roll back" in render_release(Queries(world.ports).release_view(IDS[2]))
    assert not any(letter.rollback_link for letter in world.teams.letters)


def test_a_release_that_put_everything_back_leads_nowhere_else(world: PipelineWorld) -> None:
    """D11: there is nothing to roll back."""
    reverted(world)

    told = [x for x in world.mail.letters if x.notice.moment is Moment.RELEASE_FAILED]
    assert [letter.rollback_link for letter in told] == [None] * len(told) != []
    assert "Roll back" not in render_release(Queries(world.ports).release_view(IDS[2]))


def test_a_rollback_while_a_release_still_reverts_goes_where_the_release_was_going(world: PipelineWorld) -> None:
    """D11: the want is the previous deployment already, the default not yet."""
    released(world, 2)
    world.models.operation_time = timedelta(seconds=20)
    refuse_switches(world, (OTHER_ENDPOINT, THIRD))
    world.start(IDS[2], build="3")
    world.to_phase(ReleasePhase.REVERTING, IDS[2])
    world.run(lambda: world.circuit(CIRCUIT, IDS[2]).phase is CircuitPhase.RESTORING and world.lock().want == SECOND)
    assert world.lock().live == THIRD

    world.roll_back(CIRCUIT)
    world.run()

    assert world.live_default() == SECOND
    assert world.circuit(CIRCUIT, IDS[2]).phase is CircuitPhase.SUPERSEDED


def test_a_newer_release_that_took_the_lock_and_failed_hides_no_unfinished_way_back(world: PipelineWorld) -> None:
    """D11: whoever owns the lock, what it wants was not seen live."""
    with_stuck_restore(world)
    world.start(IDS[3], CIRCUIT, build="4")
    world.to_phase(ReleasePhase.FAILED, IDS[3])
    assert world.lock().owner == IDS[3]

    world.roll_back(CIRCUIT)
    world.run()

    assert world.live_default() == SECOND


def test_a_restore_that_was_seen_live_is_finished(world: PipelineWorld) -> None:
    """D13: from there the next one goes one further back."""
    reverted(world)
    assert world.circuit(CIRCUIT, IDS[2]).phase is CircuitPhase.RESTORED
    assert (world.lock().owner, world.lock().leaves) == (IDS[2], "")

    world.roll_back(CIRCUIT)
    world.run()

    assert world.live_default() == FIRST


def test_an_activation_ends_an_unfinished_way_back(world: PipelineWorld) -> None:
    """R36: the switch back landed after all, and the next release has frozen what it found."""
    with_stuck_restore(world)
    world.models.change_default(PRODUCTION, ENDPOINT, SECOND)
    world.release_all(IDS[3], CIRCUIT, build="4")
    assert (world.lock().want, world.lock().live) == (FOURTH, FOURTH)

    world.roll_back(CIRCUIT)
    world.run()

    assert world.live_default() == SECOND


def test_drift_that_is_accepted_ends_an_unfinished_way_back(world: PipelineWorld) -> None:
    """What an operator keeps was read as the default: the next rollback goes back from it."""
    with_stuck_restore(world)
    Drift(world.ports).accept(CIRCUIT, by="ops", why="it works after all")

    assert (world.lock().live, world.lock().want) == (THIRD, THIRD)
    world.roll_back(CIRCUIT)
    world.run()
    assert world.live_default() == SECOND


# ------------------------------------------------------------------------- what was changed is not denied afterwards


def test_a_lost_answer_to_the_switch_does_not_lead_to_a_second_look_at_the_target(world: PipelineWorld) -> None:
    """R42: want, ledger and hold are written by then; somebody who touches the target now changes nothing of that."""
    released(world, 2)
    world.models.fail_next("set_default", TransientError("connection lost"), after_effect=True)
    started = world.roll_back(CIRCUIT)
    world.run(lambda: world.lock().owner == started.rollback_id)
    world.models._endpoints[PRODUCTION, ENDPOINT].deployments[FIRST].settling.looks = 3
    world.run()

    assert world.circuit(CIRCUIT, started.rollback_id).phase is CircuitPhase.RESTORED
    assert world.live_default() == FIRST


def test_a_process_that_died_behind_the_takeover_does_not_say_that_nothing_was_changed(world: PipelineWorld) -> None:
    """R42: its facts are lost, the lock is not; a bad look at the target now ends in its deadline, not in a denial."""
    released(world, 2)
    started = world.roll_back(CIRCUIT)
    world.run(lambda: bool(world.runs(started.rollback_id)))

    def dies(work: Work, ports: Ports) -> CircuitEvent | StillRunning:
        restore(work, ports)
        raise KilledError

    look = next(command for command in world.waiting() if isinstance(command, RunStep))
    with pytest.raises(KilledError):
        Worker(world.ports, steps={StepKind.RESTORE: dies}).handle(look)
    assert world.lock().owner == started.rollback_id
    world.models.delete_deployment(PRODUCTION, ENDPOINT, FIRST)
    world.clock.forward(timedelta(minutes=1))
    world.handle(look, redelivered=True)
    world.run()

    assert "nothing was changed" not in world.circuit(CIRCUIT, started.rollback_id).error


def test_a_want_whose_deployment_is_gone_is_not_the_only_way_on(world: PipelineWorld) -> None:
    """D13: deleted between the look and the switch; the next request says so and goes one further back."""
    released(world, 3)
    refuse_switches(world, stuck=((ENDPOINT, SECOND),))
    first = world.roll_back(CIRCUIT)
    world.run()
    assert world.circuit(CIRCUIT, first.rollback_id).phase is CircuitPhase.ERRORED
    world.models.delete_deployment(PRODUCTION, ENDPOINT, SECOND)
    world.clock.forward(timedelta(minutes=1))

    again = world.roll_back(CIRCUIT)
    world.run()

    assert f"{first.rollback_id} can't bring {SECOND} back ({SECOND} does not exist on {ENDPOINT})" in again.notes[0]
    assert world.live_default() == FIRST == world.lock().want


def test_where_nothing_is_left_behind_it_both_reasons_are_told(world: PipelineWorld) -> None:
    """D6: the first deployment is gone, and there is none before it."""
    released(world, 2)
    refuse_switches(world, stuck=((ENDPOINT, FIRST),))
    world.roll_back(CIRCUIT)
    world.run()
    world.models.delete_deployment(PRODUCTION, ENDPOINT, FIRST)
    world.clock.forward(timedelta(minutes=1))

    with pytest.raises(RequestRefused, match=f"can't bring {FIRST} back .*there is none before it"):
        world.roll_back(CIRCUIT)


def test_a_service_that_does_not_answer_does_not_keep_a_rollback_from_going_on(world: PipelineWorld) -> None:
    """The step looks at the target again before it changes anything."""
    with_stuck_restore(world)
    world.models.fail_next("deployment", TransientError("503"))

    world.roll_back(CIRCUIT)
    world.run()

    assert world.live_default() == SECOND


# ------------------------------------------------------------------------------------------- the last wish wins


def test_of_two_rollbacks_the_one_asked_for_later_has_its_way(world: PipelineWorld) -> None:
    """A correction a second later, while the first one still waits for its turn."""
    released(world, 3)
    first = world.roll_back(CIRCUIT)
    world.clock.forward(timedelta(seconds=1))
    second = world.roll_back(CIRCUIT, to=FIRST)
    world.run()

    assert world.live_default() == FIRST == world.lock().want
    assert world.phase(second.rollback_id) is ReleasePhase.SUCCEEDED
    assert world.phase(first.rollback_id) is ReleasePhase.SUPERSEDED
    assert second.rollback_id in world.circuit(CIRCUIT, first.rollback_id).hist[-1].why


def test_a_rollback_that_knew_of_the_other_is_the_later_one_whatever_the_clocks_say(world: PipelineWorld) -> None:
    """They were asked for on two hosts, and the first one's clock is ahead."""
    released(world, 3)
    world.models.operation_time = timedelta(seconds=20)
    first = world.roll_back(CIRCUIT)
    world.run(lambda: world.lock().owner == first.rollback_id)
    world.change(world.release(first.rollback_id), created_at=world.clock.now() + timedelta(seconds=5))
    world.roll_back(CIRCUIT, to=FIRST)
    world.run()

    assert world.live_default() == FIRST


def test_an_earlier_rollback_that_comes_late_lets_the_later_one_be(world: PipelineWorld) -> None:
    """Whichever is handled first."""
    released(world, 3)
    first = world.roll_back(CIRCUIT)
    held_up = world.bus.take()
    world.clock.forward(timedelta(seconds=1))
    world.roll_back(CIRCUIT, to=FIRST)
    world.run()
    world.bus.send(held_up)
    world.run()

    assert world.live_default() == FIRST
    assert world.phase(first.rollback_id) is ReleasePhase.SUPERSEDED


def test_a_rollback_asked_for_later_takes_over_in_the_middle_of_a_switch(world: PipelineWorld) -> None:
    """And what may still be live meanwhile is not forgotten."""
    released(world, 3)
    world.models.operation_time = timedelta(seconds=20)
    first = world.roll_back(CIRCUIT)
    world.run(lambda: world.lock().owner == first.rollback_id)
    world.clock.forward(timedelta(seconds=1))
    second = world.roll_back(CIRCUIT, to=FIRST, seen={CIRCUIT: THIRD})
    world.run(lambda: world.lock().owner == second.rollback_id)
    assert (world.lock().want, world.lock().live) == (FIRST, THIRD)
    world.run()

    assert world.live_default() == FIRST
    assert (second.is_new, world.lock().leaves) == (True, "")
    assert world.circuit(CIRCUIT, IDS[2]).phase is CircuitPhase.ROLLED_BACK


def test_an_explicit_from_holds_at_the_switch_too(world: PipelineWorld) -> None:
    """D13: a release went live between the request and the switch; the caller has never seen that one."""
    released(world, 2)
    started = world.roll_back(CIRCUIT, seen={CIRCUIT: SECOND})
    held_up = world.bus.take()
    world.release_all(IDS[2], build="3")
    world.bus.send(held_up)
    world.run()

    run = world.circuit(CIRCUIT, started.rollback_id)
    assert run.phase is CircuitPhase.FAILED
    assert run.error.startswith(f"{THIRD} should be live by now, not {SECOND} as the request said; nothing was changed")
    assert (world.live_default(), world.lock().want, world.lock().hold_until) == (THIRD, THIRD, None)


def test_two_who_saw_the_same_and_want_the_same_both_get_it(world: PipelineWorld) -> None:
    """D13: the first one's switch is what the second one asked for, not a reason to fail."""
    released(world, 2)
    world.roll_back(CIRCUIT, seen={CIRCUIT: SECOND})
    first_one = world.bus.take()
    world.clock.forward(timedelta(seconds=1))
    second = world.roll_back(release_id=IDS[1], seen={CIRCUIT: SECOND, OTHER_CIRCUIT: SECOND})
    second_one = world.bus.take()
    for messages in (first_one, second_one):
        world.bus.send(messages)
        world.run()

    assert world.phase(second.rollback_id) is ReleasePhase.SUCCEEDED
    assert world.live_default() == FIRST


# ----------------------------------------------------------------------------------- one answer: may it go back there?


def of(world: PipelineWorld, **columns: object) -> CircuitPreview:
    asked = replace(RollbackRequest(requested_by="", reason=""), **columns)  # type: ignore[arg-type]  # its columns
    return next(seen for seen in Previews(world.ports).of(asked).circuits if seen.target.circuit == CIRCUIT)


def hotfix(world: PipelineWorld) -> None:
    """Somebody made a deployment of a model with a name of its own, switched to it, and an operator kept it."""
    held = world.models._endpoints[PRODUCTION, ENDPOINT]
    made = replace(held.deployments[SECOND].spec, name="hotfix-1", model_name="plant001-hotfix")
    held.deployments["hotfix-1"] = replace(held.deployments[SECOND], spec=made)
    world.models.change_default(PRODUCTION, ENDPOINT, "hotfix-1")
    Drift(world.ports).accept(CIRCUIT, by="ops", why="hotfix")


def test_an_accepted_default_can_be_gone_back_to(world: PipelineWorld) -> None:
    """Whatever its model is called: an operator has kept it. The page says the same as the step."""
    released(world, 2)
    hotfix(world)
    world.release_all(IDS[2], build="3")
    assert world.live_default() == THIRD

    assert of(world, circuits=(CIRCUIT,)).healthy is True
    world.roll_back(CIRCUIT)
    world.run()

    assert world.live_default() == "hotfix-1"


def test_an_imported_default_is_shown_as_healthy(world: PipelineWorld) -> None:
    """R59: what the step takes, the page does not warn of."""
    world.models.add_endpoint(PRODUCTION, ENDPOINT, default="legacy", tags={})
    held = world.models._endpoints[PRODUCTION, ENDPOINT].deployments["legacy"]
    held.spec = replace(held.spec, model_name="old-model")
    world.release_all(IDS[0], CIRCUIT)

    assert of(world, release_id=IDS[0]).healthy is True
    world.roll_back(CIRCUIT)
    world.run()
    assert world.live_default() == "legacy"


def test_a_named_deployment_that_can_not_serve_is_refused_at_once(world: PipelineWorld) -> None:
    """As the step would, but by the answer instead of by a mail."""
    released(world, 3)
    world.models._endpoints[PRODUCTION, ENDPOINT].deployments[FIRST].settling.ends = ProvisioningState.FAILED

    with pytest.raises(RequestRefused, match=f"{FIRST} on {ENDPOINT} is Failed, it can't serve"):
        world.roll_back(CIRCUIT, to=FIRST)


# ------------------------------------------------------------------------------------------------- other words


def test_the_seconds_of_a_circuit_include_the_look_that_verified_it(world: PipelineWorld) -> None:
    """R44: from the request to the verified default."""
    released(world, 2)
    look = world.models.endpoint
    started = world.roll_back(CIRCUIT)

    def slow(environment: object, name: str) -> object:
        found = look(environment, name)  # type: ignore[arg-type]  # as the port has it
        world.clock.forward(timedelta(seconds=30))
        return found

    world.models.endpoint = slow  # type: ignore[assignment,method-assign]  # the fake's own method, but slower
    world.run()

    told = world.circuit(CIRCUIT, started.rollback_id).evidence["rollback"]
    assert isinstance(told, dict)
    assert told["seconds"] == (world.release(started.rollback_id).ended_at or world.clock.now()).timestamp() - (
        world.release(started.rollback_id).created_at.timestamp()
    )


def test_what_nobody_has_looked_at_is_not_said_to_be_live(world: PipelineWorld) -> None:
    """Somebody switched outside; the caller has seen that, the lock has not."""
    released(world, 3)
    world.models.change_default(PRODUCTION, ENDPOINT, SECOND)

    with pytest.raises(RequestRefused, match=f"{THIRD} should be live, not {SECOND}"):
        world.roll_back(CIRCUIT, seen={CIRCUIT: SECOND}, to=FIRST)


def test_after_an_accepted_default_nobody_is_told_of_a_rollback_that_is_over(world: PipelineWorld) -> None:
    """D13: the note speaks of what brought the wanted one there."""
    released(world, 3)
    world.roll_back(CIRCUIT)
    world.run()
    world.models.change_default(PRODUCTION, ENDPOINT, THIRD)
    Drift(world.ports).accept(CIRCUIT, by="ops", why="it works after all")

    again = world.roll_back(CIRCUIT)
    world.run()

    assert (again.is_new, again.notes) == (True, ())
    assert world.live_default() == SECOND


def test_a_release_whose_rows_are_gone_can_not_be_rolled_back_by_its_name(world: PipelineWorld) -> None:
    """Retention may be quicker than the request: a reason, not a defect."""
    released(world, 2)
    look, looks = world.releases.release, ["", IDS[1]]
    world.releases.release = (  # type: ignore[method-assign]  # retention after the first look
        lambda release_id: look(release_id) if release_id != IDS[1] or looks.pop() else None
    )
    with pytest.raises(RequestRefused, match=f"nothing is kept of release {IDS[1]}"):
        world.roll_back(release_id=IDS[1])


def test_a_message_bus_that_is_down_delays_the_rollback_and_is_no_error(world: PipelineWorld) -> None:
    """It is written down: whoever reads "error" would look away while production is switched."""
    released(world, 2)

    def refuse(request: str) -> None:
        if request == "send":
            raise TransientError("the bus is down")

    world.bus.on_request = refuse
    started = world.roll_back(CIRCUIT)
    world.bus.on_request = lambda _request: None

    assert started.is_new
    assert "the message bus is out of reach" in started.notes[0]
    assert world.live_default() == SECOND
    world.sweep_for(timedelta(minutes=5))
    assert world.live_default() == FIRST
    assert world.release(started.rollback_id).warnings == ()


def test_circuits_of_a_failed_release_that_could_not_be_put_right_stay_where_they_are(world: PipelineWorld) -> None:
    """D11: of the whole release only those go back that it still has live."""
    with_stuck_restore(world)

    started = world.roll_back(release_id=IDS[2])
    world.run()

    assert [run.circuit for run in world.runs(started.rollback_id)] == [CIRCUIT]
    assert [world.live_default(circuit) for circuit in (CIRCUIT, OTHER_CIRCUIT, THIRD_CIRCUIT)] == [SECOND] * 3
