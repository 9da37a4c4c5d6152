"""Unit: defaults that were changed outside this app - told once, in the way of the next activation, repaired or accepted."""

from datetime import timedelta

import pytest

from shared.application import drift
from shared.application.circuit_history import circuit_json
from shared.application.drift import Drift
from shared.application.ports import Endpoint
from shared.application.queries import Queries
from shared.domain.commands import LookForDrift, SendNotice
from shared.domain.errors import RequestRefused, TransientError
from shared.domain.model import CircuitPhase, Environment, Moment, ReleasePhase
from shared.domain.naming import deployment_name, model_name
from tests.support.builders import CIRCUIT, OTHER_CIRCUIT, RELEASE_ID
from tests.support.pipeline_world import ALL_CIRCUITS, OPERATORS, PipelineWorld

SECOND_ID, THIRD_ID = "20251211.1", "20251212.1"
FIRST, SECOND = deployment_name(RELEASE_ID), deployment_name(SECOND_ID)
ENDPOINT = "be-plant001-circuit01"
PRODUCTION = Environment.PRODUCTION
WHO = {"by": "ops", "why": "asked around"}


@pytest.fixture
def drifted(world: PipelineWorld) -> PipelineWorld:
    """Two releases, and then somebody makes the first one's deployment the default in the studio."""
    for number, release_id in enumerate((RELEASE_ID, SECOND_ID)):
        world.release_all(release_id, build=str(number))
        world.clock.forward(timedelta(days=1))
    world.models.set_default(PRODUCTION, ENDPOINT, FIRST)
    world.clock.forward(timedelta(minutes=1))
    world.mail.letters.clear()
    return world


def look(world: PipelineWorld) -> None:
    Drift(world.ports).look()
    world.run()


def told(world: PipelineWorld) -> list[str]:
    return [letter.notice.recipient for letter in world.mail.letters if letter.notice.moment is Moment.DRIFT_FOUND]


def put_back_by_hand(world: PipelineWorld) -> None:
    """Before anybody has looked."""
    assert world.live_default() == FIRST
    world.models.change_default(PRODUCTION, ENDPOINT, SECOND)


def test_what_this_app_left_is_no_drift(world: PipelineWorld) -> None:
    """Nor is an endpoint that it never saw, or has only looked at (R59)."""
    world.release_all()
    world.models.add_endpoint(PRODUCTION, "be-somebody-elses", default="mine")
    look(world)
    assert told(world) == []
    assert Queries(world.ports).health() == {}


def test_a_default_changed_outside_is_told_once_to_operators_and_degrades_health(drifted: PipelineWorld) -> None:
    """Mail, page and health; the next look says nothing new."""
    look(drifted)
    look(drifted)

    assert told(drifted) == list(OPERATORS)
    (line,) = Queries(drifted.ports).health()["drift"]
    assert line == f"{CIRCUIT}: {FIRST} is live on {ENDPOINT}, {SECOND} should be"
    shown = circuit_json(CIRCUIT, None, drifted.ports)["production"]
    assert isinstance(shown, dict)
    assert shown["drift"]["what"] in line
    letter = drifted.mail.letters[-1]
    assert letter.release.warnings == (line,)
    assert letter.view_url.startswith("https://releases.example.com/releases/drift-")


def test_a_crash_between_noting_and_telling_tells_once_all_the_same(drifted: PipelineWorld) -> None:
    """The report's id follows from the row, which was written before."""

    def breaks(request: str) -> None:
        if request == "commit":
            drifted.releases.on_request = lambda _request: None
            raise TransientError("storage is gone")

    drifted.releases.on_request = breaks
    look(drifted)
    drifted.clock.forward(timedelta(hours=1))
    look(drifted)
    assert told(drifted) == list(OPERATORS)


def test_a_report_that_was_begun_and_lost_everything_else_is_told_after_all(drifted: PipelineWorld) -> None:
    """The simulation found it: begun without its messages, taken off the sweeper's list, and then they were lost."""

    def breaks(request: str) -> None:
        if request == "commit":
            drifted.releases.on_request = lambda _request: None
            raise TransientError("storage is gone")

    drifted.releases.on_request = breaks
    with pytest.raises(TransientError):
        Drift(drifted.ports).handle(LookForDrift(n=1))
    drifted.sweep()
    Drift(drifted.ports).look()
    drifted.run(lambda: any(isinstance(command, SendNotice) for command in drifted.waiting()))
    drifted.lose_messages()
    drifted.sweep_for(timedelta(minutes=5))
    assert told(drifted) == list(OPERATORS)


def test_a_default_that_was_put_right_by_hand_is_forgotten_and_would_be_told_again(drifted: PipelineWorld) -> None:
    """Each change outside is told once."""
    look(drifted)
    drifted.models.set_default(PRODUCTION, ENDPOINT, SECOND)
    drifted.clock.forward(timedelta(minutes=1))
    look(drifted)
    assert drifted.lock().drift == ""
    drifted.models.set_default(PRODUCTION, ENDPOINT, FIRST)
    drifted.clock.forward(timedelta(minutes=1))
    look(drifted)
    assert told(drifted) == [*OPERATORS, *OPERATORS]


def test_drift_blocks_the_circuits_next_activation_and_says_what_to_do(drifted: PipelineWorld) -> None:
    """The others of the release do not go live either: all or nothing."""
    look(drifted)
    drifted.start(THIRD_ID, build="3")
    drifted.to_phase(ReleasePhase.FAILED, THIRD_ID)
    drifted.run()

    failed = drifted.circuit(CIRCUIT, THIRD_ID)
    assert failed.phase is CircuitPhase.FAILED
    assert "changed outside this app" in failed.error
    (next_action,) = failed.evidence["diagnosis"]  # type: ignore[misc]  # JSON
    assert next_action.startswith(
        "next: POST /api/circuits/PLANT001/CIRCUIT01/drift/accept or /drift/repair, then retry"
    )
    assert next_action in drifted.mail.letters[-1].summary
    assert drifted.live_default() == FIRST
    assert drifted.live_default(OTHER_CIRCUIT) == SECOND


def test_drift_stands_in_the_evidence_of_a_new_release(drifted: PipelineWorld) -> None:
    """The approver is told before, not only by the failure."""
    look(drifted)
    drifted.start(THIRD_ID, CIRCUIT, build="3")
    drifted.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL, THIRD_ID)
    assert FIRST in str(drifted.circuit(CIRCUIT, THIRD_ID).evidence["drift"])


def test_a_repair_makes_the_wanted_deployment_the_default_again(drifted: PipelineWorld) -> None:
    """The request starts it; the sweeper's follow-up sees it through and takes the mark back."""
    look(drifted)
    drifted.models.operation_time = timedelta(seconds=20)
    Drift(drifted.ports).repair(CIRCUIT, **WHO)
    assert drifted.lock().repair_by == "ops"
    Drift(drifted.ports).follow_up()
    assert drifted.lock().drift
    drifted.clock.forward(timedelta(minutes=1))
    Drift(drifted.ports).follow_up()

    assert drifted.live_default() == SECOND
    assert (drifted.lock().drift, drifted.lock().repair_by) == ("", "")
    assert Queries(drifted.ports).health() == {}


def test_an_accepted_default_is_wanted_from_then_on_and_can_be_rolled_back(drifted: PipelineWorld) -> None:
    """It has a ledger row of its own that names what it replaced."""
    look(drifted)
    fence = drifted.lock().fence
    Drift(drifted.ports).accept(CIRCUIT, **WHO)

    lock = drifted.lock()
    assert (lock.want, lock.drift, lock.fence) == (FIRST, "", fence + 1)
    newest = drifted.endpoints.ledger(PRODUCTION, CIRCUIT)[0]
    assert (newest.deployment, newest.previous, newest.by) == (FIRST, SECOND, "ops: asked around")
    look(drifted)
    assert told(drifted) == list(OPERATORS)
    drifted.release_all(THIRD_ID, build="3")
    assert drifted.circuit(CIRCUIT, THIRD_ID).previous_deployment == FIRST


def test_there_is_nothing_to_decide_without_drift(world: PipelineWorld) -> None:
    """And nothing while a release is at work on the endpoint."""
    with pytest.raises(RequestRefused) as unknown:
        Drift(world.ports).accept(CIRCUIT, **WHO)
    assert unknown.value.status == 404
    world.start()
    world.to_phase(ReleasePhase.ACTIVATING)
    with pytest.raises(RequestRefused, match="is at work there"):
        Drift(world.ports).repair(CIRCUIT, **WHO)
    world.run()
    with pytest.raises(RequestRefused, match="nothing to decide"):
        Drift(world.ports).repair(CIRCUIT, **WHO)


def test_an_endpoint_that_is_gone_is_drift(drifted: PipelineWorld) -> None:
    """Somebody deleted it."""
    drifted.models._endpoints.pop((PRODUCTION, ENDPOINT))
    look(drifted)
    assert "the endpoint is gone" in drifted.lock().drift


def test_a_rollback_of_a_drifted_circuit_clears_the_mark(drifted: PipelineWorld) -> None:
    """It wants another default anyway, and reaches it."""
    look(drifted)
    drifted.roll_back(CIRCUIT)
    drifted.run()
    assert drifted.lock().drift == ""
    assert drifted.live_default() == FIRST


def test_a_repair_that_can_not_succeed_leaves_both_decisions_open(drifted: PipelineWorld) -> None:
    """The wanted deployment is gone: asked again the repair is tried again, and what is live can be accepted."""
    look(drifted)
    drifted.models.delete_deployment(PRODUCTION, ENDPOINT, SECOND)
    drifted.clock.forward(timedelta(minutes=1))
    Drift(drifted.ports).repair(CIRCUIT, **WHO)
    Drift(drifted.ports).follow_up()
    assert Drift(drifted.ports).repair(CIRCUIT, by="bob", why="again").repair_by == "bob"

    Drift(drifted.ports).accept(CIRCUIT, **WHO)

    assert (drifted.lock().want, drifted.lock().drift, drifted.lock().repair_by) == (FIRST, "", "")


def test_a_repair_under_way_is_not_told_as_a_new_drift(drifted: PipelineWorld) -> None:
    """The words of the row say more by then than those of a new look."""
    look(drifted)
    drifted.models.fail_next("set_default", TransientError("503"))
    Drift(drifted.ports).repair(CIRCUIT, **WHO)
    look(drifted)
    assert told(drifted) == list(OPERATORS)
    assert "to be put right: asked around" in drifted.lock().drift


def test_a_repairs_switch_that_lands_after_somebody_else_decided_is_put_right(drifted: PipelineWorld) -> None:
    """It was frozen before its write, and meanwhile what is live was accepted."""
    look(drifted)
    switch = drifted.models.set_default
    frozen: list[str] = []

    def freezes(environment: Environment, endpoint: str, deployment: str) -> None:
        if not frozen:
            frozen.append(deployment)
            Drift(drifted.ports).accept(CIRCUIT, by="bob", why="is fine")
        switch(environment, endpoint, deployment)

    drifted.models.set_default = freezes  # type: ignore[method-assign]  # the fake's own method, once frozen
    drifted.models.operation_time = timedelta(seconds=20)
    Drift(drifted.ports).repair(CIRCUIT, **WHO)
    for _ in range(3):
        drifted.clock.forward(timedelta(minutes=1))
        Drift(drifted.ports).follow_up()

    assert frozen == [SECOND]
    assert drifted.live_default() == FIRST == drifted.lock().want
    assert (drifted.lock().drift, drifted.lock().repair_by) == ("", "")


def test_another_deployment_under_the_wanted_name_is_drift(drifted: PipelineWorld) -> None:
    """Tags are compared with the ledger: somebody deleted ours and made one of their own."""
    tagged_by_hand(drifted)
    look(drifted)
    assert drifted.lock().drift == f"{SECOND} on {ENDPOINT} is tagged for release by hand, {SECOND_ID} made it live"
    assert told(drifted) == list(OPERATORS)


def test_an_endpoint_whose_tags_name_another_circuit_is_drift(drifted: PipelineWorld) -> None:
    """Its default may be right and still not this circuit's."""
    put_back_by_hand(drifted)
    drifted.models._endpoints[PRODUCTION, ENDPOINT].tags = {"plant_id": "PLANT009", "circuit_id": "CIRCUIT01"}
    look(drifted)
    assert drifted.lock().drift == f"{ENDPOINT} is tagged for another circuit"


@pytest.mark.parametrize("method", ["all_locks", "ledger"])
def test_what_goes_live_while_the_look_is_under_way_is_no_drift(world: PipelineWorld, method: str) -> None:
    """Rows are read long before their endpoints; a finding counts only if its row has not moved since."""
    world.release_all(RELEASE_ID)
    world.release_all(SECOND_ID, build="2")
    world.mail.letters.clear()
    real, begun = getattr(world.endpoints, method), []

    def meanwhile(*asked: object, **named: object) -> object:
        found = real(*asked, **named)
        if not begun:
            begun.append(THIRD_ID)
            world.release_all(THIRD_ID, build="3")
        return found

    setattr(world.endpoints, method, meanwhile)
    look(world)

    assert begun
    assert told(world) == []
    assert (world.live_default(), world.lock().drift) == (deployment_name(THIRD_ID), "")


def test_a_rollback_while_its_endpoint_is_looked_at_is_no_drift(world: PipelineWorld) -> None:
    """The owner that was asked whether it is at work was the one before."""
    world.release_all(RELEASE_ID)
    world.release_all(SECOND_ID, build="2")
    world.mail.letters.clear()
    real, begun = world.models.endpoint, []

    def meanwhile(environment: Environment, name: str) -> Endpoint | None:
        if not begun and (environment, name) == (PRODUCTION, ENDPOINT):
            begun.append(name)
            world.roll_back(CIRCUIT)
            world.run()
        return real(environment, name)

    world.models.endpoint = meanwhile  # type: ignore[method-assign]  # the fake's own method, once overtaken
    look(world)

    assert (world.live_default(), world.lock().drift) == (FIRST, "")
    assert told(world) == []


def test_a_drift_found_while_somebody_holds_the_circuit_is_told_once(drifted: PipelineWorld) -> None:
    """A hold changes the row and not the default: the endpoint is compared again with the row as it is now."""
    real, held = drifted.models.endpoint, []

    def meanwhile(environment: Environment, name: str) -> Endpoint | None:
        if not held and (environment, name) == (PRODUCTION, ENDPOINT):
            held.append(drifted.holds().hold(CIRCUIT, until=None, by="ann", why="looking into it"))
        return real(environment, name)

    drifted.models.endpoint = meanwhile  # type: ignore[method-assign]  # as above
    look(drifted)
    look(drifted)

    assert told(drifted) == list(OPERATORS)
    assert drifted.lock().hold_by == "ann"
    assert drifted.lock().drift


def test_many_endpoints_are_looked_at_page_by_page_and_each_finding_is_told_at_once(
    world: PipelineWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    """No look outlives its function, however many endpoints there are and however slow the service is."""
    monkeypatch.setattr(drift, "PAGE", 2)
    for number, release_id in enumerate((RELEASE_ID, SECOND_ID)):
        world.release_all(release_id, build=str(number))
    for circuit in ALL_CIRCUITS:
        world.models.change_default(PRODUCTION, f"be-{model_name(circuit)}", FIRST)
    world.mail.letters.clear()

    Drift(world.ports).look()
    world.run(lambda: any(isinstance(command, LookForDrift) and command.cursor for command in world.waiting()))
    assert [bool(world.lock(circuit).drift) for circuit in ALL_CIRCUITS] == [True, True, False]
    world.run()

    assert [bool(world.lock(circuit).drift) for circuit in ALL_CIRCUITS] == [True, True, True]
    said = [line for letter in world.mail.letters for line in letter.release.warnings]
    assert sorted(said) == sorted(f"{circuit}: {world.lock(circuit).drift}" for circuit in ALL_CIRCUITS)


def tagged_by_hand(world: PipelineWorld) -> None:
    """Ours was deleted, and another made under its name."""
    put_back_by_hand(world)
    held = world.models._endpoints[PRODUCTION, ENDPOINT].deployments[SECOND]
    object.__setattr__(held.spec, "tags", {"release_id": "by hand"})


def test_a_repair_of_what_no_switch_heals_is_refused_with_the_way_that_works(drifted: PipelineWorld) -> None:
    """Tags of the deployment: they are corrected in the workspace, or what is there is kept."""
    tagged_by_hand(drifted)
    look(drifted)
    with pytest.raises(RequestRefused) as refused:
        Drift(drifted.ports).repair(CIRCUIT, **WHO)
    assert refused.value.status == 409
    assert f"correct the tag release_id of {SECOND} on {ENDPOINT}" in refused.value.detail
    assert f"POST /api/circuits/{CIRCUIT}/drift/accept" in refused.value.detail
    look(drifted)
    assert told(drifted) == list(OPERATORS)

    Drift(drifted.ports).accept(CIRCUIT, **WHO)
    look(drifted)
    assert (drifted.lock().drift, told(drifted)) == ("", list(OPERATORS))


def test_an_endpoint_with_another_circuits_tags_is_corrected_in_the_workspace(drifted: PipelineWorld) -> None:
    """Neither a switch nor keeping it heals that; the failure of the next release says so as well."""
    put_back_by_hand(drifted)
    drifted.start(THIRD_ID, CIRCUIT, build="3")
    drifted.to_phase(ReleasePhase.AWAITING_PRODUCTION_APPROVAL, THIRD_ID)
    drifted.models._endpoints[PRODUCTION, ENDPOINT].tags = {"plant_id": "PLANT009", "circuit_id": "CIRCUIT01"}
    Drift(drifted.ports).handle(LookForDrift(n=1))
    way = f"correct the tags plant_id and circuit_id of {ENDPOINT} in the production workspace"
    for decide in (Drift(drifted.ports).repair, Drift(drifted.ports).accept):
        with pytest.raises(RequestRefused) as refused:
            decide(CIRCUIT, **WHO)
        assert (refused.value.status, way in refused.value.detail) == (409, True)
    drifted.to_phase(ReleasePhase.FAILED, THIRD_ID)
    next_action = str(drifted.circuit(CIRCUIT, THIRD_ID).evidence["diagnosis"])
    assert (way in next_action, "drift/" in next_action) == (True, False)
    look(drifted)
    assert told(drifted) == list(OPERATORS)


def test_a_repair_that_leaves_another_difference_says_so_instead_of_success(drifted: PipelineWorld) -> None:
    """The right default is back, and its tags are somebody else's."""
    look(drifted)
    held = drifted.models._endpoints[PRODUCTION, ENDPOINT].deployments[SECOND]
    object.__setattr__(held.spec, "tags", {"release_id": "by hand"})
    Drift(drifted.ports).repair(CIRCUIT, **WHO)
    Drift(drifted.ports).follow_up()

    assert drifted.live_default() == SECOND
    assert (drifted.lock().repair_by, "is tagged for release by hand" in drifted.lock().drift) == ("", True)


def test_an_operator_accepts_what_was_seen_and_nothing_else(drifted: PipelineWorld) -> None:
    """Somebody changed it once more since the page was looked at."""
    look(drifted)
    with pytest.raises(RequestRefused) as refused:
        Drift(drifted.ports).accept(CIRCUIT, **WHO, live="deployment-by-hand")
    assert (refused.value.status, f"{FIRST} is live, not deployment-by-hand" in refused.value.detail) == (409, True)
    assert drifted.lock().want == SECOND

    assert Drift(drifted.ports).accept(CIRCUIT, **WHO, live=FIRST).want == FIRST


def stuck_rollback(world: PipelineWorld) -> str:
    """Asked for, wanted, and the service has not taken it until the deadline."""
    world.models.set_default(PRODUCTION, ENDPOINT, SECOND)
    world.clock.forward(timedelta(minutes=1))
    world.models.fail_next("set_default", TransientError("503"), times=500)
    started = world.roll_back(CIRCUIT)
    world.run()
    world.models._failures.clear()
    world.mail.letters.clear()
    assert world.circuit(CIRCUIT, started.rollback_id).phase is CircuitPhase.ERRORED
    return started.rollback_id


def test_what_a_rollback_of_ours_did_not_bring_back_is_not_told_as_somebodys_change(drifted: PipelineWorld) -> None:
    """D11: its own mail has told people; health says what is open, and a repair finishes it."""
    rollback_id = stuck_rollback(drifted)
    look(drifted)
    look(drifted)

    assert told(drifted) == []
    (line,) = Queries(drifted.ports).health()["drift"]
    assert line == f"{CIRCUIT}: {SECOND} is live on {ENDPOINT}, {FIRST} should be: {rollback_id} did not bring it back"
    Drift(drifted.ports).repair(CIRCUIT, **WHO)
    Drift(drifted.ports).follow_up()
    assert (drifted.live_default(), drifted.lock().drift) == (FIRST, "")


def test_a_release_behind_a_rollback_that_failed_is_told_whose_failure_stands_in_its_way(
    drifted: PipelineWorld,
) -> None:
    """Not somebody's change, and what to do about it."""
    rollback_id = stuck_rollback(drifted)
    drifted.holds().lift(CIRCUIT, by="ops", why="try")
    drifted.start(THIRD_ID, CIRCUIT, build="3")
    drifted.to_phase(ReleasePhase.FAILED, THIRD_ID)

    failed = drifted.circuit(CIRCUIT, THIRD_ID)
    assert f"{rollback_id} did not bring it back" in failed.error
    assert "changed outside" not in failed.error
    assert "/drift/repair" in str(failed.evidence["diagnosis"])


def test_somebodys_change_after_a_rollback_that_failed_is_somebodys_change(drifted: PipelineWorld) -> None:
    """A third deployment is neither what it was to take away nor what it wanted."""
    stuck_rollback(drifted)
    drifted.models.add_endpoint(PRODUCTION, ENDPOINT, default="by-hand", deployments=[FIRST, SECOND])
    look(drifted)
    assert told(drifted) == list(OPERATORS)
    assert "did not bring it back" not in drifted.lock().drift


def test_test_is_not_compared(drifted: PipelineWorld) -> None:
    """Nobody is served from there, and the next release that passes sets its default anew."""
    put_back_by_hand(drifted)
    drifted.models.change_default(Environment.TEST, ENDPOINT, FIRST)
    look(drifted)
    assert told(drifted) == []
    drifted.release_all(THIRD_ID, CIRCUIT, build="3")
    assert drifted.live_default(CIRCUIT, Environment.TEST) == deployment_name(THIRD_ID)
