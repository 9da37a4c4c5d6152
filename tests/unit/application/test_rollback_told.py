"""Unit: what a rollback says of itself: no success in its numbers without one, and no drill that looks like the real thing."""

from dataclasses import replace
from datetime import timedelta

import pytest

from shared.adapters.teams_card import card_message
from shared.application.queries import Queries
from shared.application.views import ReleaseQuery
from shared.domain.model import Channel, CircuitPhase, Environment, Moment, ReleasePhase
from shared.domain.naming import deployment_name
from shared.pages import render_mail
from tests.support.builders import CIRCUIT, OTHER_CIRCUIT, RELEASE_ID
from tests.support.circuit_world import ESTATE
from tests.support.pipeline_world import PipelineWorld
from tests.support.release_samples import CIRCUITS, a_letter, a_release, a_run, three_live

SECOND, THIRD = "20251210.2", "20251210.3"


@pytest.fixture
def world() -> PipelineWorld:
    """Three releases of two circuits, one after the other."""
    world = PipelineWorld()
    for number, release_id in enumerate((RELEASE_ID, SECOND, THIRD)):
        world.release_all(release_id, CIRCUIT, OTHER_CIRCUIT, build=str(number))
    world.mail.letters.clear()
    return world


def told(world: PipelineWorld, rollback_id: str) -> dict[str, object]:
    return dict(Queries(world.ports).rollback(rollback_id))


def mails(world: PipelineWorld) -> list[tuple[str, str]]:
    letters = [letter for letter in world.mail.letters if letter.notice.moment is Moment.ROLLBACK_ENDED]
    return [(mail.subject, mail.text) for mail in (render_mail(letter, ESTATE) for letter in letters)]


def test_a_rollback_that_restored_nothing_claims_no_time(world: PipelineWorld) -> None:
    """R44: a goal that was not reached is not "within the goal"."""
    world.models.delete_deployment(Environment.PRODUCTION, "be-plant001-circuit01", deployment_name(SECOND))
    rollback_id = world.roll_back(CIRCUIT).rollback_id
    world.run()
    rollback = told(world, rollback_id)
    assert (rollback["phase"], rollback["seconds"], rollback["within_goal"]) == ("failed", None, None)
    assert "not counted: nothing was restored" in mails(world)[0][1]


def test_one_that_restored_some_counts_them_and_misses_the_goal(world: PipelineWorld) -> None:
    """The seconds are those of what was verified; the whole did not get there."""
    world.models.delete_deployment(Environment.PRODUCTION, "be-plant001-circuit01", deployment_name(SECOND))
    rollback_id = world.roll_back(CIRCUIT, OTHER_CIRCUIT).rollback_id
    world.run()
    rollback = told(world, rollback_id)
    circuits = {f"{one['plant_id']}/{one['circuit_id']}": one for one in rollback["circuits"]}  # type: ignore[attr-defined]
    assert rollback["seconds"] == circuits[str(OTHER_CIRCUIT)]["seconds"] is not None
    assert rollback["within_goal"] is False
    assert "not every circuit was restored" in mails(world)[0][1]


def test_one_that_was_overtaken_says_by_whom(world: PipelineWorld) -> None:
    """Issue 4: the API tells what the mail tells."""
    first = world.roll_back(CIRCUIT).rollback_id
    world.clock.forward(timedelta(seconds=1))
    second = world.roll_back(CIRCUIT, to=deployment_name(RELEASE_ID)).rollback_id
    world.run(lambda: world.release(second).is_terminal and world.release(first).is_terminal)
    ended = {one: told(world, one) for one in (first, second)}
    (lost,) = [one for one in ended if ended[one]["phase"] == "superseded"]
    (won,) = set(ended) - {lost}
    assert ended[won]["within_goal"] is True
    assert (ended[lost]["seconds"], ended[lost]["within_goal"]) == (None, None)
    assert f"{won} has taken the endpoint over" in str(ended[lost]["outcome"])
    (circuit,) = ended[lost]["circuits"]  # type: ignore[misc]
    assert circuit["outcome"] == f"superseded, {won} has taken the endpoint over"


def test_nobody_takes_a_drill_for_the_real_thing(world: PipelineWorld) -> None:
    """Issue 4.5: subject, heading, card and the last sentence say that it was Test, and that nothing is held."""
    rollback_id = world.roll_back(CIRCUIT, environment=Environment.TEST).rollback_id
    world.run()
    ((subject, text), *_) = mails(world)
    assert subject.startswith(f"Rollback drill in Test succeeded: {rollback_id}")
    assert "✅ Rollback drill in Test Complete!" in text
    assert "It was a drill in Test: Production was not touched, and no circuit is on hold." in text
    assert "A hold keeps" not in text
    letter = next(one for one in world.teams.letters if one.release.release_id == rollback_id)
    assert letter.notice.channel is Channel.TEAMS
    assert f"Rollback drill in Test succeeded: {rollback_id}" in str(card_message(letter))


def test_a_rollback_in_production_says_that_its_circuits_are_on_hold(world: PipelineWorld) -> None:
    rollback_id = world.roll_back(CIRCUIT).rollback_id
    world.run()
    ((subject, text), *_) = mails(world)
    assert subject.startswith(f"Rollback succeeded: {rollback_id}")
    assert "A hold keeps releases from activating these circuits" in text


def test_the_subject_of_a_success_counts_what_went_live() -> None:
    """R58: of three circuits two were left out."""
    runs = (three_live()[0], *(a_run(circuit, phase=CircuitPhase.EXCLUDED) for circuit in CIRCUITS[1:]))
    letter = a_letter(Moment.RELEASE_SUCCEEDED, release=a_release(phase=ReleasePhase.SUCCEEDED), runs=runs)
    assert "(1 of 3 circuits)" in render_mail(letter, ESTATE).subject
    assert "(3 circuits)" in render_mail(replace(letter, runs=three_live()), ESTATE).subject


def test_rollbacks_can_be_listed_the_newest_first(world: PipelineWorld) -> None:
    """From the index: one that runs, and those that have ended; releases are none of them."""
    first = world.roll_back(CIRCUIT).rollback_id
    world.run()
    world.clock.forward(timedelta(days=1))
    second = world.roll_back(OTHER_CIRCUIT).rollback_id
    heads = Queries(world.ports).rollbacks(ReleaseQuery())["rollbacks"]
    assert isinstance(heads, list)
    assert [(one["rollback_id"], one["phase"]) for one in heads] == [(second, "rolling_back"), (first, "succeeded")]
    assert heads[0]["requested_by"] == "ops"
    page = Queries(world.ports).rollbacks(ReleaseQuery(), limit=1)
    assert [one["rollback_id"] for one in page["rollbacks"]] == [second]  # type: ignore[attr-defined]
    ended = Queries(world.ports).rollbacks(ReleaseQuery(phase="succeeded"))["rollbacks"]
    assert [one["rollback_id"] for one in ended] == [first]  # type: ignore[attr-defined]
