"""Unit: a failed activation as a table of circuit, before, tried, now (D11)."""

from dataclasses import replace
from datetime import timedelta

from shared.application.activation_report import activation_rows, is_half_way_back
from shared.application.operations import Operations
from shared.application.summary import release_summary
from shared.domain.errors import PermanentError
from shared.domain.model import CircuitPhase, Environment, Release, ReleasePhase
from shared.domain.naming import deployment_name
from shared.pages.mails import render_mail
from tests.support.builders import CIRCUIT, OTHER_CIRCUIT, RELEASE_ID, THIRD_CIRCUIT
from tests.support.circuit_world import ESTATE
from tests.support.pipeline_world import PipelineWorld

SECOND_ID, THIRD_ID = "20251211.1", "20251212.1"
FIRST, SECOND = deployment_name(RELEASE_ID), deployment_name(SECOND_ID)
WILL_NOT_SWITCH = "be-plant001-circuit02"


def failed_in_activation(world: PipelineWorld) -> Release:
    """Two circuits have a predecessor, one of them will not switch; the third is new."""
    world.release_all(RELEASE_ID, CIRCUIT, OTHER_CIRCUIT)
    world.clock.forward(timedelta(days=1))
    switch = world.models.set_default

    def refuse(environment: Environment, endpoint: str, deployment: str) -> None:
        if (environment, endpoint, deployment) == (Environment.PRODUCTION, WILL_NOT_SWITCH, SECOND):
            raise PermanentError("the service refuses this deployment")
        switch(environment, endpoint, deployment)

    world.models.set_default = refuse  # type: ignore[method-assign]  # the fake's own method, for one endpoint
    world.start(SECOND_ID, build="2")
    world.to_phase(ReleasePhase.FAILED, SECOND_ID)
    world.run()
    return world.release(SECOND_ID)


def test_every_circuit_is_back_and_the_table_says_so(world: PipelineWorld) -> None:
    """Before, tried, now; the new one was never switched."""
    release = failed_in_activation(world)
    rows = {row.circuit: row for row in activation_rows(release, world.runs(SECOND_ID))}

    assert (rows[str(CIRCUIT)].before, rows[str(CIRCUIT)].tried, rows[str(CIRCUIT)].now) == (FIRST, SECOND, FIRST)
    assert rows[str(OTHER_CIRCUIT)].now == FIRST
    assert "refuses this deployment" in rows[str(OTHER_CIRCUIT)].why
    assert (rows[str(THIRD_CIRCUIT)].before, rows[str(THIRD_CIRCUIT)].now) == ("(none)", "(none)")
    assert [world.live_default(circuit) for circuit in (CIRCUIT, OTHER_CIRCUIT, THIRD_CIRCUIT)] == [FIRST, FIRST, ""]


def test_the_report_and_the_mail_carry_the_table(world: PipelineWorld) -> None:
    """And name the circuit that would not switch as failed, although it is restored by now."""
    release = failed_in_activation(world)
    runs = world.runs(SECOND_ID)
    report = release_summary(release, runs, ESTATE)

    assert world.circuit(OTHER_CIRCUIT, SECOND_ID).phase is CircuitPhase.RESTORED
    failed = report.partition("Failed Circuits:")[2].partition("Other Circuits:")[0]
    assert "PLANT001 / CIRCUIT02" in failed
    assert "refuses this deployment" in failed
    table = [line.split() for line in report.partition("read last:")[2].splitlines()[1:5]]
    assert table[0] == ["Circuit", "Before", "Tried", "Now"]
    assert table[1] == [str(CIRCUIT), FIRST, SECOND, FIRST]
    assert any(letter.summary == report for letter in world.mail.letters)


def test_what_somebody_made_live_meanwhile_is_left_and_told(world: PipelineWorld) -> None:
    """R36, D11: a default that is no longer as it was frozen fails the activation; the others go back, this one stays."""
    world.release_all(RELEASE_ID)
    world.release_all(SECOND_ID, build="2")
    world.start(THIRD_ID, build="3")
    world.to_phase(ReleasePhase.STAGING_PRODUCTION, THIRD_ID)
    world.run(lambda: set(world.phases(THIRD_ID)) == {CircuitPhase.STAGED})
    world.models.change_default(Environment.PRODUCTION, WILL_NOT_SWITCH, FIRST)
    world.to_phase(ReleasePhase.FAILED, THIRD_ID)
    world.run()

    assert [world.live_default(circuit) for circuit in (CIRCUIT, OTHER_CIRCUIT, THIRD_CIRCUIT)] == [
        SECOND,
        FIRST,
        SECOND,
    ]
    rows = {row.circuit: row for row in activation_rows(world.release(THIRD_ID), world.runs(THIRD_ID))}
    assert (rows[str(OTHER_CIRCUIT)].before, rows[str(OTHER_CIRCUIT)].now) == (SECOND, FIRST)
    assert (rows[str(CIRCUIT)].before, rows[str(CIRCUIT)].now) == (SECOND, SECOND)
    assert "changed since it was staged" in rows[str(OTHER_CIRCUIT)].why


def test_what_did_not_go_back_is_the_first_thing_that_is_said(world: PipelineWorld) -> None:
    """D11's stuck case: the report's first line and the subject of the mail, before any table."""
    world.release_all(RELEASE_ID)
    switch = world.models.set_default

    def refuse(environment: Environment, endpoint: str, deployment: str) -> None:
        stuck = (endpoint, deployment) in {(WILL_NOT_SWITCH, SECOND), ("be-plant001-circuit01", FIRST)}
        if environment is Environment.PRODUCTION and stuck:
            raise PermanentError("the service refuses this deployment")
        switch(environment, endpoint, deployment)

    world.models.set_default = refuse  # type: ignore[method-assign]  # the fake's own method, for two endpoints
    world.start(SECOND_ID, build="2")
    world.to_phase(ReleasePhase.FAILED, SECOND_ID)
    world.run()

    assert world.live_default(CIRCUIT) == SECOND
    told = "Production is not as it was, 1 of 3 circuits did not go back"
    letter = world.mail.letters[-1]
    assert letter.summary.splitlines()[1] == f"❌ Release {SECOND_ID} failed: {told}"
    assert told in render_mail(letter, ESTATE).subject


def test_a_circuit_that_stands_as_live_is_told_as_such(world: PipelineWorld) -> None:
    """A release of before this version may have ended so."""
    release = failed_in_activation(world)
    live = replace(world.circuit(CIRCUIT, SECOND_ID), phase=CircuitPhase.LIVE)
    (row,) = activation_rows(release, [live])
    assert (row.now, row.is_left) == (SECOND, True)


def test_a_release_that_failed_before_has_no_such_table(world: PipelineWorld) -> None:
    """Nothing was tried in production."""
    world.start()
    world.models.fail_next("registry_model", PermanentError("no"), times=99)
    world.to_phase(ReleasePhase.FAILED)
    assert activation_rows(world.release(), world.runs()) == ()


def left_half_way(world: PipelineWorld) -> None:
    """CIRCUIT is live by the second release, which fails at OTHER_CIRCUIT and can't take it back within its time."""
    world.release_all(RELEASE_ID, CIRCUIT, OTHER_CIRCUIT)
    world.clock.forward(timedelta(days=1))
    switch = world.models.set_default

    def refuse(environment: Environment, endpoint: str, deployment: str) -> None:
        is_way_back = deployment == FIRST and endpoint != WILL_NOT_SWITCH
        if environment is Environment.PRODUCTION and (
            is_way_back or (endpoint, deployment) == (WILL_NOT_SWITCH, SECOND)
        ):
            raise PermanentError("the service refuses this deployment")
        switch(environment, endpoint, deployment)

    world.models.set_default = refuse  # type: ignore[method-assign]  # the fake's own method, for two endpoints
    world.start(SECOND_ID, build="2")
    world.to_phase(ReleasePhase.FAILED, SECOND_ID)
    world.run()


def test_a_retry_that_fails_before_it_switches_still_says_what_did_not_go_back(world: PipelineWorld) -> None:
    """D11: found by the simulation; the second failure had another reason, and nothing told of the first one's rest."""
    left_half_way(world)
    assert world.live_default(CIRCUIT) == SECOND
    Operations(world.ports).retry(SECOND_ID, by="ops", reason="again", exclude={})
    world.to_phase(ReleasePhase.AWAITING_PRODUCTION_APPROVAL, SECOND_ID)
    world.models.change_default(Environment.PRODUCTION, WILL_NOT_SWITCH, "somebody-elses")
    world.to_phase(ReleasePhase.FAILED, SECOND_ID)
    world.run()

    release, runs = world.release(SECOND_ID), world.runs(SECOND_ID)
    assert release.hist[-1].source == ReleasePhase.STAGING_PRODUCTION
    left = {row.circuit: row for row in activation_rows(release, runs)}
    assert [name for name, row in left.items() if row.is_left] == [str(CIRCUIT)]
    assert "1 of 3 circuits did not go back" in release_summary(release, runs, ESTATE)
    assert is_half_way_back(release, runs)


def test_who_is_left_out_of_the_retry_is_no_less_live(world: PipelineWorld) -> None:
    """D11: the natural next step after a way back that got stuck; the summary of the success says it too."""
    left_half_way(world)
    Operations(world.ports).retry(SECOND_ID, by="ops", reason="again", exclude={str(CIRCUIT): "stuck"})
    world.models.set_default = type(world.models).set_default.__get__(world.models)  # type: ignore[method-assign]
    world.to_phase(ReleasePhase.SUCCEEDED, SECOND_ID)
    world.run()

    assert world.live_default(CIRCUIT) == SECOND
    told = release_summary(world.release(SECOND_ID), world.runs(SECOND_ID), ESTATE).partition("Not Deployed:")[2]
    assert f"an earlier try could not take {SECOND} back" in told


def test_a_retry_without_it_that_fails_too_says_that_it_was_left(world: PipelineWorld) -> None:
    """D11: left out, and still the first thing to say."""
    left_half_way(world)
    Operations(world.ports).retry(SECOND_ID, by="ops", reason="again", exclude={str(CIRCUIT): "stuck"})
    world.to_phase(ReleasePhase.AWAITING_PRODUCTION_APPROVAL, SECOND_ID)
    world.models.change_default(Environment.PRODUCTION, WILL_NOT_SWITCH, "somebody-elses")
    world.to_phase(ReleasePhase.FAILED, SECOND_ID)
    world.run()

    rows = activation_rows(world.release(SECOND_ID), world.runs(SECOND_ID))
    assert [row.circuit for row in rows if row.is_left] == [str(CIRCUIT)]
