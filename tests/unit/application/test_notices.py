"""Unit: people are told once per moment, a channel that is down is tried again, and giving up is visible."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.adapters.email.message import message_id
from shared.application.notices import deliver_notice, notices_for, send_command
from shared.application.ports import Audience, Letter
from shared.application.queries import Queries
from shared.domain.commands import SendNotice
from shared.domain.errors import PermanentError, TransientError
from shared.domain.model import Channel, GateName, Moment, Notice, NoticeState, ReleasePhase
from shared.pages import render_release
from tests.support.builders import NOW, a_release
from tests.support.outline import text_of
from tests.support.pipeline_world import APPROVERS, OPERATORS, PipelineWorld

AUDIENCE = Audience(approvers=APPROVERS, operators=(*OPERATORS, APPROVERS[0]), teams=True)


@pytest.fixture
def asked(world: PipelineWorld) -> PipelineWorld:
    """Gate 1 has opened and nobody has been told yet."""
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    return world


def notice_to(world: PipelineWorld, recipient: str = APPROVERS[0]) -> Notice:
    return next(notice for notice in world.notices() if notice.recipient == recipient)


def deliver(world: PipelineWorld, recipient: str = APPROVERS[0]) -> None:
    deliver_notice(send_command(notice_to(world, recipient)), world.ports)


def readers(letters: Sequence[Letter], world: PipelineWorld) -> set[tuple[str, str]]:
    """Whom each letter went to, and whose own its link to read is."""
    claims = ((letter, world.ports.tokens.read_view(letter.view_url.partition("?view=")[2])) for letter in letters)
    return {(letter.notice.recipient, claim.reader) for letter, claim in claims if claim is not None}


def test_a_mails_link_to_read_is_its_recipients_own_and_a_cards_is_nobodys(world: PipelineWorld) -> None:
    """Issue 6: in link mode a mail opens every page to read; what everybody in a channel sees opens one release."""
    world.release_all()
    everybody = {*APPROVERS, *OPERATORS}
    assert readers(world.mail.letters, world) == {(person, person) for person in everybody}
    assert readers(world.teams.letters, world) == {("channel", "")}


def test_where_people_sign_in_no_link_is_anybodys_own(world: PipelineWorld) -> None:
    """Whoever wants to read more signs in."""
    world.ports = replace(world.ports, audience=replace(world.ports.audience, signs_in=True))
    world.release_all()
    assert {reader for _, reader in readers(world.mail.letters, world)} == {""}


@pytest.mark.parametrize(
    ("moment", "people"),
    [
        (Moment.GATE_OPENED, {*APPROVERS, "channel"}),
        (Moment.RELEASE_FAILED, {*APPROVERS, *OPERATORS, "channel"}),
        (Moment.ARTIFACT_INVALID, {*OPERATORS, APPROVERS[0]}),
    ],
)
def test_everybody_concerned_is_told_once(moment: Moment, people: set[str]) -> None:
    """R54: approvers at gates, all at the end; nobody twice because of two roles."""
    told = notices_for(a_release(), moment, AUDIENCE, NOW)

    assert sorted(notice.recipient for notice in told) == sorted(people)


def test_a_delivered_notice_is_not_delivered_again(asked: PipelineWorld) -> None:
    """A duplicate of the message finds it sent."""
    command = send_command(notice_to(asked))
    deliver_notice(command, asked.ports)
    deliver_notice(command, asked.ports)

    assert len(asked.mail.letters) == 1
    assert notice_to(asked).state is NoticeState.SENT


def test_a_mail_about_a_gate_carries_the_persons_own_link_and_a_card_none(asked: PipelineWorld) -> None:
    """A Teams card never carries a personal link."""
    for recipient in (*APPROVERS, "channel"):
        deliver(asked, recipient)

    links = [letter.link for letter in asked.mail.letters]
    assert len({link.url for link in links if link}) == 2
    assert [letter.link for letter in asked.teams.letters] == [None]


def test_a_channel_that_is_down_is_tried_again_with_back_off(asked: PipelineWorld) -> None:
    """And the row says how often, and when next."""
    asked.mail.failures = [TransientError("connection refused")] * 2

    deliver(asked)
    first = asked.bus.sent[-1]
    deliver(asked)
    second = asked.bus.sent[-1]
    deliver(asked)

    assert isinstance(first, SendNotice)
    assert isinstance(second, SendNotice)
    assert [(first.n, first.delay), (second.n, second.delay)] == [
        (1, timedelta(seconds=5)),
        (2, timedelta(seconds=10)),
    ]
    assert notice_to(asked).state is NoticeState.SENT
    assert len(asked.mail.letters) == 1


def test_a_channel_that_is_down_is_seen_from_the_first_failed_try_on(
    asked: PipelineWorld, caplog: pytest.LogCaptureFixture
) -> None:
    """Issue 6: in the log, on the page and in health, not only when it is given up after an hour."""
    asked.mail.failures = [TransientError("connection refused")]
    deliver(asked)

    (record,) = [record for record in caplog.records if getattr(record, "action", "") == "notice_retried"]
    assert (record.levelname, vars(record)["error"]) == ("WARNING", "connection refused")
    page = text_of(render_release(Queries(asked.ports).release_view("20251210.1")))
    assert "Not delivered yet by mail: gate opened, connection refused; it is tried again" in page
    assert "Approvers find their link in their mail, once it is delivered" in page
    told = f"20251210.1: email to {APPROVERS[0]}, gate opened is tried again: connection refused"
    assert Queries(asked.ports).health() == {"retried": [told]}

    deliver(asked)
    assert Queries(asked.ports).health() == {}
    assert "Not delivered" not in text_of(render_release(Queries(asked.ports).release_view("20251210.1")))


def test_after_an_hour_of_tries_it_is_given_up_visibly(asked: PipelineWorld) -> None:
    """Undelivered stays in the row with the reason; the waits grow to five minutes."""
    start = asked.clock.now()
    asked.mail.failures = [TransientError("connection refused")] * 99
    asked.run()

    notice = notice_to(asked)
    assert (notice.state, notice.last_error) == (NoticeState.UNDELIVERED, "connection refused")
    assert timedelta(hours=1) <= asked.clock.now() - start < timedelta(minutes=66)
    assert 8 < notice.attempts < 30


def test_a_mail_server_that_is_back_within_the_hour_loses_nothing(asked: PipelineWorld) -> None:
    """Both approvers get theirs."""
    while asked.clock.now() < NOW + timedelta(minutes=50):
        asked.mail.failures = [TransientError("connection refused")] * 2
        asked.run(lambda: not asked.mail.failures)
    asked.mail.failures.clear()
    asked.run()

    assert sorted(letter.notice.recipient for letter in asked.mail.letters) == sorted(APPROVERS)


def test_mails_that_queue_for_the_senders_budget_are_not_given_up(asked: PipelineWorld) -> None:
    """However often they are told to wait for their minute: that is no failure of the channel."""
    asked.mail.failures = [TransientError("budget", retry_after=timedelta(minutes=1))] * 24
    asked.run()

    assert len(asked.mail.letters) == len(APPROVERS)


def test_a_release_succeeds_although_nobody_can_be_told_by_one_channel(world: PipelineWorld) -> None:
    """Teams is gone for good: no gate waits for it, and the page says what was not delivered."""
    world.teams.failures = [PermanentError("the webhook answered 410")] * 99
    world.release_all()

    assert world.phase() is ReleasePhase.SUCCEEDED
    lost = [notice.moment for notice in world.notices() if notice.state is NoticeState.UNDELIVERED]
    assert sorted(lost) == [
        Moment.GATE_DECIDED,
        Moment.GATE_DECIDED,
        Moment.GATE_OPENED,
        Moment.GATE_OPENED,
        Moment.RELEASE_SUCCEEDED,
    ]
    assert {notice.channel for notice in world.notices() if notice.state is NoticeState.UNDELIVERED} == {Channel.TEAMS}


def test_a_recipient_the_channel_refuses_is_given_up_at_once(asked: PipelineWorld) -> None:
    """Trying again changes nothing."""
    asked.mail.failures = [PermanentError("no such mailbox")]
    deliver(asked)

    assert notice_to(asked).state is NoticeState.UNDELIVERED


def test_a_gate_answered_meanwhile_needs_no_mail(asked: PipelineWorld) -> None:
    """The request would ask for what is decided."""
    command = send_command(notice_to(asked, APPROVERS[1]))
    asked.answer(GateName.REGISTRY)

    deliver_notice(command, asked.ports)

    assert asked.mail.letters == []
    assert notice_to(asked, APPROVERS[1]).last_error == "no longer needed"


def test_a_lost_write_after_a_delivery_repeats_the_same_message(asked: PipelineWorld) -> None:
    """Issue 5.4: a repeated mail has the same Message-ID."""
    command = send_command(notice_to(asked))

    def lose(request: str) -> None:
        if request == "commit":
            raise TransientError("storage is down")

    asked.releases.on_request = lose
    with pytest.raises(TransientError):
        deliver_notice(command, asked.ports)
    asked.releases.on_request = lambda _request: None
    deliver_notice(command, asked.ports)

    first, again = (message_id(letter.notice, "example.com") for letter in asked.mail.letters)
    assert first == again


def test_a_release_that_fails_twice_tells_people_twice(world: PipelineWorld) -> None:
    """Each end is a message of its own, or the second one could never be written."""
    world.start()
    world.models.change_dev_model("plant001-circuit01", "12345-2025-11-01", tags={"validated": "True"})
    world.run()
    assert world.phase() is ReleasePhase.FAILED
    world.operations().retry("20251210.1", by="ops", reason="again", exclude={})
    world.run()

    assert world.phase() is ReleasePhase.FAILED
    told = [n for n in world.notices() if n.moment is Moment.RELEASE_FAILED and n.channel is Channel.EMAIL]
    assert len(told) == 6
    assert len({message_id(notice, "example.com") for notice in told}) == 6
