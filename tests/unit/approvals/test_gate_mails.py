"""Unit: an operator has the mails of an open gate sent again; every link is fresh, and the history says so."""

from datetime import timedelta

import pytest

from shared.adapters.email.message import message_id, mime_message
from shared.application.gate_mails import GateMails
from shared.application.gates import Gates, Standing, Verdict
from shared.application.ports import Letter
from shared.domain.errors import PermanentError, RequestRefused
from shared.domain.model import Channel, GateName, Moment, NoticeState, ReleasePhase
from shared.domain.policy import Policy
from tests.support.builders import RELEASE_ID
from tests.support.circuit_world import ESTATE
from tests.support.pipeline_world import APPROVERS, PipelineWorld

ANN, BOB = APPROVERS
REGISTRY, PRODUCTION = GateName.REGISTRY, GateName.PRODUCTION
HOUR = timedelta(hours=1)


def at_gate_1(policy: Policy | None = None) -> PipelineWorld:
    world = PipelineWorld(policy=policy)
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.run()
    return world


@pytest.fixture
def asked() -> PipelineWorld:
    return at_gate_1()


def send_again(world: PipelineWorld, gate: GateName = REGISTRY) -> list[str]:
    sent = GateMails(world.ports).send_again(RELEASE_ID, gate, by="ops", reason="the mail server was down")
    assert sent.expires_at == world.gate(gate).expires_at
    return list(sent.recipients)


def letters_to(world: PipelineWorld, person: str) -> list[Letter]:
    return [letter for letter in world.mail.letters if letter.notice.recipient == person]


def test_everybody_who_has_not_decided_gets_a_mail_of_its_own_kind_with_a_fresh_link(asked: PipelineWorld) -> None:
    """Another link, another code, another Message-ID in the same thread; the card is not sent again."""
    cards = len(asked.teams.letters)
    assert send_again(asked) == [ANN, BOB]
    asked.run()
    first, again = letters_to(asked, ANN)
    assert first.link
    assert again.link
    assert first.link.url != again.link.url
    assert message_id(first.notice, "example.com") != message_id(again.notice, "example.com")
    threads = {
        mime_message(letter, sender="releases@example.com", estate=ESTATE)["References"] for letter in (first, again)
    }
    assert len(threads) == 1
    assert len(asked.teams.letters) == cards
    assert {notice.state for notice in asked.notices()} == {NoticeState.SENT}


def test_the_new_link_decides_and_the_old_one_explains_itself(asked: PipelineWorld) -> None:
    """The deadline has not moved."""
    old, deadline = asked.claim(REGISTRY), asked.gate(REGISTRY).expires_at
    asked.clock.forward(HOUR)
    send_again(asked)
    assert Gates(asked.ports).view(old).standing is Standing.SUPERSEDED
    assert asked.answer(REGISTRY, claim=old).verdict is Verdict.NOT_OPEN
    assert asked.gate(REGISTRY).expires_at == deadline
    assert asked.answer(REGISTRY).verdict is Verdict.APPROVED


def test_a_link_that_five_wrong_codes_voided_is_replaced(asked: PipelineWorld) -> None:
    """The five tries are of the new link; the old one gains none."""
    old = asked.claim(REGISTRY)
    for _ in range(5):
        asked.answer(REGISTRY, code="nope")
    assert asked.answer(REGISTRY).verdict is Verdict.LINK_VOID
    send_again(asked)
    assert asked.answer(REGISTRY, claim=old, code="nope").verdict is Verdict.NOT_OPEN
    assert asked.gate(REGISTRY).wrong_codes == {}
    assert asked.answer(REGISTRY).verdict is Verdict.APPROVED


def test_the_history_says_who_had_them_sent_to_whom_and_why(asked: PipelineWorld) -> None:
    """In the gate's own row, so in the release's bundle as well."""
    send_again(asked)
    entry = asked.gate(REGISTRY).hist[-1]
    assert (entry.source, entry.target, entry.by) == ("open", "open", "ops")
    assert entry.why == f"mails sent again to {ANN}, {BOB}: the mail server was down"


def test_whoever_has_decided_is_left_in_peace() -> None:
    """A quorum of two: Ann's vote counts on, Bob is asked again."""
    world = at_gate_1(Policy(min_approvers=2))
    world.answer(REGISTRY, recipient=ANN)
    assert send_again(world) == [BOB]
    world.run()
    assert [len(letters_to(world, person)) for person in (ANN, BOB)] == [1, 2]
    assert world.answer(REGISTRY, recipient=BOB).verdict is Verdict.APPROVED


def test_what_was_on_its_way_is_not_delivered_beside_the_new_mail() -> None:
    """The first mail still waited for the mail server: its link would have been superseded on arrival."""
    world = PipelineWorld()
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    send_again(world)
    world.run()
    assert [len(letters_to(world, person)) for person in APPROVERS] == [1, 1]
    assert world.answer(REGISTRY).verdict is Verdict.APPROVED


def test_a_mail_that_was_given_up_reaches_its_person_the_second_time() -> None:
    """What this is for."""
    world = PipelineWorld(approvers=(ANN,))
    world.mail.failures = [PermanentError("the mailbox is full")]
    world.start()
    world.run(lambda: any(notice.state is NoticeState.UNDELIVERED for notice in world.notices()))
    assert world.mail.letters == []
    send_again(world)
    world.run()
    assert len(letters_to(world, ANN)) == 1


def test_again_and_again_are_mails_of_their_own_and_so_is_the_reminder(asked: PipelineWorld) -> None:
    """Four hours before the deadline, with the link that counts by then."""
    for _ in range(2):
        send_again(asked)
        asked.run()
    asked.sweep_for(21 * HOUR)
    moments = [letter.notice.moment for letter in letters_to(asked, BOB)]
    assert moments == [Moment.GATE_OPENED] * 3 + [Moment.GATE_REMINDER]
    reminder = letters_to(asked, BOB)[-1]
    assert reminder.link
    claim = asked.ports.tokens.read(reminder.link.url.rpartition("/")[2])
    assert claim is not None
    assert claim.nonce == asked.gate(REGISTRY).nonce


def test_a_gate_that_is_opened_again_begins_anew(asked: PipelineWorld) -> None:
    """Its first mails are first mails, with the card."""
    send_again(asked)
    asked.sweep_for(25 * HOUR)
    asked.operations().retry(RELEASE_ID, by="ops", reason="everybody was away", exclude={})
    asked.run()
    assert asked.gate(REGISTRY).sendings == 0
    opened = [n for n in asked.notices() if n.moment is Moment.GATE_OPENED and n.subject.endswith("-2")]
    assert sorted(notice.channel for notice in opened) == [Channel.EMAIL, Channel.EMAIL, Channel.TEAMS]
    assert asked.answer(REGISTRY).verdict is Verdict.APPROVED


@pytest.mark.parametrize(
    ("state", "status"), [("missing", 404), ("not yet", 404), ("decided", 409), ("late", 409), ("all voted", 409)]
)
def test_only_an_open_gate_asks_again(state: str, status: int) -> None:
    """Nothing is written, nobody is mailed, and the words say why."""
    world = PipelineWorld(policy=Policy(min_approvers=3))
    world.start()
    world.to_phase(ReleasePhase.AWAITING_REGISTRY_APPROVAL)
    world.run()
    match state:
        case "decided":
            world.answer(REGISTRY, "reject", comment="no")
        case "late":
            world.clock.set(world.gate(REGISTRY).expires_at)
        case "all voted":
            for person in APPROVERS:
                world.answer(REGISTRY, recipient=person)
        case _:
            pass
    rows, sent = dict(world.releases.rows[RELEASE_ID]), len(world.bus.sent)
    release_id = "20991231.1" if state == "missing" else RELEASE_ID
    gate = PRODUCTION if state == "not yet" else REGISTRY
    with pytest.raises(RequestRefused) as refused:
        GateMails(world.ports).send_again(release_id, gate, by="ops", reason="why not")
    assert refused.value.status == status
    assert (world.releases.rows[RELEASE_ID], len(world.bus.sent)) == (rows, sent)


def test_an_answer_in_the_very_moment_wins(asked: PipelineWorld) -> None:
    """The gate is read again and is no longer open."""
    quicker = [ANN]

    def answer(request: str) -> None:
        if request == "commit" and quicker:
            asked.answer(REGISTRY, recipient=quicker.pop())

    asked.releases.on_request = answer
    with pytest.raises(RequestRefused, match="approved"):
        send_again(asked)
    assert asked.gate(REGISTRY).sendings == 0
