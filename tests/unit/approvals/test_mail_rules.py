"""Unit: how often people are written to, and what the mails carry."""

import itertools
import json
from collections import Counter
from dataclasses import replace
from datetime import timedelta

from shared.adapters.email.message import mime_message
from shared.adapters.teams_card import card_message
from shared.application.intake import Arrival, Intake
from shared.application.ports import Letter
from shared.domain.errors import TransientError
from shared.domain.model import Channel, GateName, Moment, NoticeState, ReleasePhase
from shared.domain.policy import Policy
from shared.pages import render_mail
from tests.support.circuit_world import ESTATE
from tests.support.pipeline_world import APPROVERS, OPERATORS, PipelineWorld, artifact_path

ANN, BOB = APPROVERS
MINUTE = timedelta(minutes=1)


def mails_of(world: PipelineWorld, person: str) -> list[Moment]:
    return [letter.notice.moment for letter in world.mail.letters if letter.notice.recipient == person]


def refuse(world: PipelineWorld, number: int) -> None:
    """Upload an artifact that nobody can use."""
    path, content = artifact_path(f"20251210.{number}"), b'{"circuits": [{"mltable_name": "x"}]}'
    world.evidence.upload(path, content, at=world.clock.now())
    assert Intake(world.ports).from_artifact(path, content).arrival is Arrival.INVALID


def test_only_those_who_have_not_answered_are_reminded() -> None:
    """With a quorum of two: Ann has voted, Bob has not."""
    world = PipelineWorld(policy=Policy(min_approvers=2))
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.run()
    world.answer(GateName.REGISTRY, recipient=ANN)
    world.sweep_for(timedelta(hours=21))
    assert Moment.GATE_REMINDER not in mails_of(world, ANN)
    assert mails_of(world, BOB) == [Moment.GATE_OPENED, Moment.GATE_REMINDER]


def test_a_vote_of_an_earlier_opening_is_no_reason_to_skip_the_reminder() -> None:
    """A re-opened gate asks everybody again."""
    world = PipelineWorld(policy=Policy(min_approvers=2))
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.run()
    world.answer(GateName.REGISTRY, recipient=ANN)
    world.sweep_for(timedelta(hours=24, minutes=2))
    world.operations().retry("20251210.1", by="ops", reason="again", exclude={})
    world.sweep_for(timedelta(hours=21))
    assert mails_of(world, ANN).count(Moment.GATE_REMINDER) == 1


def test_refused_artifacts_cost_operators_one_mail_in_fifteen_minutes_and_none_is_left_out() -> None:
    """The first at once; those of the next minutes together, a quarter of an hour after it."""
    world = PipelineWorld()
    start = world.clock.now()
    refuse(world, 1)
    for number in range(2, 8):
        world.clock.forward(MINUTE)
        refuse(world, number)
    world.sweep_for(timedelta(minutes=20))
    first, second = world.mail.letters
    assert {letter.notice.recipient for letter in world.mail.letters} == set(OPERATORS)
    assert first.notice.created_at == start
    assert second.notice.created_at == start + 15 * MINUTE
    told = {second.release.artifact_path, *(one.artifact_path for one in second.also_refused)}
    assert told == {artifact_path(f"20251210.{number}") for number in range(2, 8)}
    mail = mime_message(second, sender="releases@example.com", estate=ESTATE)
    assert "and 5 others" in mail["Subject"]
    text = mail.get_body(("plain",))
    assert text is not None
    assert all(path in text.get_content() for path in told)


def test_a_refusal_mail_says_everything_once_and_that_more_may_follow() -> None:
    """R57: the path, what is wrong, the form to use, uncut; and that further refusals wait for the next mail."""
    world = PipelineWorld()
    refuse(world, 1)
    refuse(world, 2)
    world.sweep_for(timedelta(minutes=20))
    first, second = (mime_message(one, sender="releases@example.com", estate=ESTATE) for one in world.mail.letters)
    for mail, number in ((first, 1), (second, 2)):
        for kind in ("plain", "html"):
            part = mail.get_body((kind,))
            assert part is not None
            text = part.get_content().rpartition("</head>")[2]
            assert text.count(artifact_path(f"20251210.{number}")) == 1
            assert "plant_id is missing, circuit_id is missing, cutoff_date is missing" in text
            assert text.count("releases/{release_id}/{build_id}/") == 2, "in the form to use, and in what to do next"
            assert "More may follow: what is refused in the next 15 minutes is held back" in text
    row = world.releases.release(world.mail.letters[0].release.release_id)
    assert row is not None
    assert row.row.reason.count("changed_circuits.json") == 1


def test_a_long_stream_of_refusals_keeps_the_distance() -> None:
    """One a minute for ninety minutes: every mail at least fifteen minutes after the one before."""
    world = PipelineWorld()
    for number in range(1, 91):
        refuse(world, number)
        world.sweep_for(MINUTE)
    world.sweep_for(timedelta(minutes=20))
    times = [letter.notice.created_at for letter in world.mail.letters]
    assert len(times) == 7
    assert all(later - earlier >= 15 * MINUTE for earlier, later in itertools.pairwise(times))
    told = Counter(
        path
        for letter in world.mail.letters
        for path in (letter.release.artifact_path, *(o.artifact_path for o in letter.also_refused))
    )
    assert len(told) == 90
    assert set(told.values()) == {1}


def test_two_instances_that_refuse_at_once_send_one_mail() -> None:
    """The quicker one claims the mail; the other one's artifact is told in the next."""
    world = PipelineWorld()
    quicker = [2]

    def be_quicker(request: str) -> None:
        if request == "put" and quicker and any(key.startswith("invalid/") for key in world.evidence.blobs):
            refuse(world, quicker.pop())

    world.evidence.on_request = be_quicker
    refuse(world, 1)
    world.run()
    times = sorted(letter.notice.created_at for letter in world.mail.letters)
    assert len(times) == 2
    assert times[1] - times[0] >= 15 * MINUTE


def test_a_channel_that_asks_to_wait_is_left_alone_so_long() -> None:
    """Retry-After wins over the back-off, and the release goes on meanwhile."""
    world = PipelineWorld(approvers=(ANN,))
    world.mail.failures = [TransientError("busy", retry_after=timedelta(minutes=12))]
    world.start()
    world.run(lambda: any(notice.attempts for notice in world.notices()))
    (row,) = [n for n in world.notices() if n.channel is Channel.EMAIL]
    assert row.state is NoticeState.PENDING
    assert row.due_at is not None
    assert row.due_at - world.clock.now() >= timedelta(minutes=12)
    before = world.clock.now()
    world.run(lambda: bool(world.mail.letters))
    assert world.clock.now() - before == timedelta(minutes=12)


def told(letter: Letter) -> tuple[str, str]:
    """A mail's text and HTML."""
    mail = mime_message(letter, sender="releases@example.com", estate=ESTATE)
    parts = [mail.get_body((kind,)) for kind in ("plain", "html")]
    text, html = (part.get_content() if part else "" for part in parts)
    return text, html


def test_an_expired_gate_is_told_with_the_way_to_open_it_again() -> None:
    """Approvers and operators, by mail and in the channel; nobody is asked a third time."""
    world = PipelineWorld()
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.run()
    world.sweep_for(timedelta(hours=25))
    assert mails_of(world, ANN) == [Moment.GATE_OPENED, Moment.GATE_REMINDER, Moment.GATE_EXPIRED]
    assert mails_of(world, OPERATORS[0]) == [Moment.GATE_EXPIRED]
    for part in told(world.mail.letters[-1]):
        assert "expired" in part
        assert "POST /api/releases/20251210.1/retry" in part


def test_a_success_is_told_with_the_summary_and_everybodys_own_way_back() -> None:
    """R41: the document's summary, the rollback link with its code, and the SHA-256 of the evidence."""
    world = PipelineWorld()
    world.release_all()
    ends = [letter for letter in world.mail.letters if letter.notice.moment is Moment.RELEASE_SUCCEEDED]
    links = {letter.rollback_link.url for letter in ends if letter.rollback_link}
    assert len(links) == len(ends) == len((*APPROVERS, *OPERATORS))
    for letter in ends:
        assert letter.rollback_link is not None
        for part in told(letter):
            assert "Production Deployment Complete!" in part
            assert letter.rollback_link.code in part
            assert world.release().evidence_sha256 in part
        assert letter.rollback_link.url in told(letter)[0]


def test_the_channel_hears_of_the_same_moments_as_people_do() -> None:
    """Of all but refused artifacts, which are for operators alone; a card each, never with a personal link."""
    world = PipelineWorld()
    refuse(world, 9)
    world.release_all()
    world.start("20251211.1", build="2")
    world.sweep_for(timedelta(hours=25))
    in_mails = {letter.notice.moment for letter in world.mail.letters}
    assert {letter.notice.moment for letter in world.teams.letters} == in_mails - {Moment.ARTIFACT_INVALID}
    assert in_mails >= {Moment.GATE_OPENED, Moment.GATE_REMINDER, Moment.GATE_EXPIRED, Moment.RELEASE_SUCCEEDED}
    assert {(letter.link, letter.rollback_link) for letter in world.teams.letters} == {(None, None)}


def test_where_people_sign_in_no_message_has_a_code_and_cards_lead_to_the_gate() -> None:
    """A link that needs a sign-in is nobody's own: everybody in the channel may have it."""
    world = PipelineWorld()
    world.ports = replace(world.ports, audience=replace(world.ports.audience, signs_in=True))
    world.release_all()
    for letter in world.mail.letters:
        text = render_mail(letter, ESTATE).text
        assert "Code:" not in text
        asks = letter.notice.moment is Moment.GATE_OPENED
        assert ("the role ReleaseApprover decides" in text, "/approvals/" in text) == (asks, asks)
        ended = letter.notice.moment is Moment.RELEASE_SUCCEEDED
        assert ("the role ReleaseOperator rolls back" in text) == ended
    cards = [(letter.notice.moment, card_message(letter)) for letter in world.teams.letters]
    leads = [(moment, "/approvals/" in json.dumps(card)) for moment, card in cards]
    assert leads == [
        (Moment.GATE_OPENED, True),
        (Moment.GATE_DECIDED, False),
        (Moment.GATE_OPENED, True),
        (Moment.GATE_DECIDED, False),
        (Moment.RELEASE_SUCCEEDED, False),
    ]


def test_where_links_decide_no_card_has_one() -> None:
    """Everybody in the channel sees a card; the mail says where to decide."""
    world = PipelineWorld()
    world.release_all()
    told = json.dumps([card_message(letter) for letter in world.teams.letters])
    assert "/approvals/" not in told
    assert told.count("Your personal link is in your mail.") == 2
    mails = [(letter.notice.moment, render_mail(letter, ESTATE).text) for letter in world.mail.letters]
    assert [("Code:" in text) for _, text in mails] == [moment is not Moment.GATE_DECIDED for moment, _ in mails]
