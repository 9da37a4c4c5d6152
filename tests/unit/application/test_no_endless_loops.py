"""Unit: what can never be done is not tried for ever: it ends, people see it, and the release leaves the list."""

from collections.abc import Callable
from datetime import timedelta

import pytest

from shared.application.intake import Intake
from shared.application.notices import deliver_notice, give_up_notice, send_command
from shared.application.ports import Letter
from shared.domain.errors import PermanentError, TransientError
from shared.domain.model import FANOUT_END, Channel, GateName, LedgerNote, Moment, NoticeState, ReleasePhase
from tests.support.builders import CIRCUIT, RELEASE_ID
from tests.support.host_at_work import HostAtWork
from tests.support.pipeline_world import PipelineWorld, artifact_path

SOON = timedelta(hours=1)
DAYS = timedelta(days=3)


class Broken:
    """A channel whose template has a defect."""

    def deliver(self, letter: Letter) -> None:
        raise KeyError("a template defect")


def take_teams_away(world: PipelineWorld) -> None:
    del world.ports.notifiers[Channel.TEAMS]  # type: ignore[attr-defined]  # a dict, in the fakes


def break_teams(world: PipelineWorld) -> None:
    world.ports.notifiers[Channel.TEAMS] = Broken()  # type: ignore[index]  # as above


def rejected(world: PipelineWorld) -> HostAtWork:
    """Gate 1 was opened and rejected meanwhile."""
    host = HostAtWork(world)
    world.start(RELEASE_ID, CIRCUIT)
    host.run_for(timedelta(minutes=10))
    world.answer(GateName.REGISTRY, "reject")
    host.run_for(SOON)
    return host


@pytest.mark.parametrize("trouble", [break_teams, take_teams_away])
def test_a_card_that_can_never_be_delivered_is_given_up_visibly(
    world: PipelineWorld, trouble: Callable[[PipelineWorld], None]
) -> None:
    """I7, R54: not a pending row that is driven for ever; the release ends, and says whom it could not tell."""
    trouble(world)
    host = rejected(world)

    cards = [notice for notice in world.notices() if notice.channel is Channel.TEAMS]
    assert {Moment.GATE_OPENED} < {card.moment for card in cards}, "that it is over is told as well"
    assert {card.state for card in cards} == {NoticeState.UNDELIVERED}
    assert all(card.last_error for card in cards)
    assert world.releases.active_release_ids() == []
    before = host.deliveries
    host.run_for(DAYS)
    assert host.deliveries == before


def test_a_dead_message_about_an_earlier_try_gives_no_notice_up(world: PipelineWorld) -> None:
    """Rule 9: the channel was down once, and the next try is under way."""
    world.start(RELEASE_ID, CIRCUIT)
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    first = next(send_command(notice) for notice in world.notices() if notice.channel is Channel.TEAMS)
    world.teams.failures.append(TransientError("503"))
    deliver_notice(first, world.ports)

    give_up_notice(first, "MaxDeliveryCountExceeded", world.ports)

    card = next(notice for notice in world.notices() if notice.channel is Channel.TEAMS)
    assert (card.state, card.attempts) == (NoticeState.PENDING, 1)


def test_a_ledger_that_can_not_be_noted_is_left_without_and_the_release_ends(world: PipelineWorld) -> None:
    """I8: its history says what is missing; the facts stand in its evidence."""

    def refuse(_note: LedgerNote) -> None:
        raise PermanentError("400: the column is too long")

    world.endpoints.note = refuse  # type: ignore[method-assign]  # a store in trouble
    world.start(RELEASE_ID, CIRCUIT)
    world.to_phase(ReleasePhase.SUCCEEDED)
    host = HostAtWork(world)
    host.run_for(SOON)

    assert world.release().noted_cursor == FANOUT_END
    assert "was given up" in world.release().hist[-1].why
    assert world.releases.active_release_ids() == []
    before = host.deliveries
    host.run_for(DAYS)
    assert host.deliveries == before


def interrupted(world: PipelineWorld) -> None:
    """The `active` row and the copy of the artifact stand; the release's own row was never written."""
    world.start(RELEASE_ID, CIRCUIT)
    world.lose_messages()
    world.releases.rows.clear()


def delete_the_copy(world: PipelineWorld) -> None:
    world.evidence.get = lambda _path: None  # type: ignore[method-assign]  # somebody deleted it


def make_it_unreadable(world: PipelineWorld) -> None:
    """As a version with stricter rules would see it."""
    get = world.evidence.get
    world.evidence.get = lambda path: b"[]x" if "manifest" in path else get(path)  # type: ignore[method-assign]  # so


@pytest.mark.parametrize("trouble", [delete_the_copy, make_it_unreadable])
def test_an_interrupted_intake_that_can_never_be_completed_is_refused_where_people_see_it(
    world: PipelineWorld, trouble: Callable[[PipelineWorld], None]
) -> None:
    """I8: not a line in the log every minute, for ever; operators have a mail, and the same upload starts it anew."""
    interrupted(world)
    trouble(world)
    host = HostAtWork(world)

    host.run_for(timedelta(minutes=30))
    assert world.releases.active_release_ids() == [RELEASE_ID]
    host.run_for(SOON)

    assert RELEASE_ID not in world.releases.active_release_ids()
    [letter] = world.mail.letters
    assert letter.notice.moment is Moment.ARTIFACT_INVALID
    assert f"release {RELEASE_ID} was not started" in letter.release.reason
    host.run_for(DAYS)
    assert world.releases.active_release_ids() == []
    assert len(world.mail.letters) == 1

    del world.evidence.get  # type: ignore[method-assign]  # mended
    path = artifact_path(RELEASE_ID)
    content = world.evidence.artifact(path)
    assert content is not None
    Intake(world.ports).from_artifact(path, content)
    world.to_phase(ReleasePhase.SUCCEEDED)
