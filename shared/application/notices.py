"""Telling people: a row per message, written with the transition behind it, delivered until it is delivered."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta

from shared.application.activation_report import is_half_way_back
from shared.application.answers import ASKING, OF_OPENING, decided_about, decided_gate
from shared.application.ports import Audience, Change, GateLink, Insert, Letter, Ports, Update, Versioned
from shared.application.quorum import told_to_operators
from shared.application.recipients import people
from shared.application.release_list import listed_releases
from shared.application.summary import marks_told, release_summary
from shared.application.votes import asked_for_it, vote_of
from shared.domain.commands import SendNotice
from shared.domain.errors import PermanentError, TransientError
from shared.domain.listing import Wanted
from shared.domain.model import (
    Channel,
    CircuitRun,
    EndpointLock,
    Environment,
    Gate,
    GateName,
    GateState,
    Moment,
    Notice,
    NoticeState,
    Release,
    ReleasePhase,
)
from shared.domain.naming import rollback_of
from shared.domain.people import same_person
from shared.domain.process import redrive_wait
from shared.domain.rows import notice_key
from shared.telemetry import log

LEAST_ATTEMPTS = 8
TRIED_FOR = timedelta(hours=1)
"""A message is given up after both: a mail server may be down for a while, and a sender's budget makes mails queue."""
REFUSAL_SPACING = timedelta(minutes=15)
"""Between two mails about refused artifacts."""
MOST_LOOKED_AT = 100
LONGEST_WAIT = timedelta(hours=1)
"""However long a channel asks to be left alone: a gate closes after a day."""
TEAMS_RECIPIENT = "channel"
NEW_EVIDENCE = "~"
"""Before the number of the evidence, in the subject of a message to people whose votes it has replaced."""


def notices_for(  # noqa: PLR0913  # what a message is about
    release: Release,
    moment: Moment,
    audience: Audience,
    at: datetime,
    *,
    asks: Gate | None = None,
    decided: GateName | None = None,
) -> tuple[Notice, ...]:
    """One notice per person and channel.

    `asks` is a gate that has been open for a while: who has decided there, or must not, is not asked again, and every time
    its mails are sent again they are messages of their own. `decided` is the gate that a decision was made at.
    """
    subject = decided_about(decided, release.gen) if decided else _about(release, moment, asks.sendings if asks else 0)
    due_at = at + release.policy.overdue_after
    to = [
        (Channel.EMAIL, one)
        for one in people(release, moment, audience)
        if not (asks and moment in ASKING and _is_heard(one, asks, release))
    ]
    if audience.teams and moment is not Moment.ARTIFACT_INVALID:
        to.append((Channel.TEAMS, TEAMS_RECIPIENT))
    return tuple(
        Notice(
            release_id=release.release_id,
            moment=moment,
            subject=subject,
            channel=channel,
            recipient=recipient,
            created_at=at,
            due_at=due_at,
        )
        for channel, recipient in to
    )


def _is_heard(person: str, gate: Gate, release: Release) -> bool:
    return bool(vote_of(person, gate) or asked_for_it(release, person))


def asked_again(release: Release, before: Gate, gate: Gate, audience: Audience, at: datetime) -> tuple[Notice, ...]:
    """For those whose votes have just stopped counting, since the gate has new evidence, and for the channel."""
    lost = [vote.by for vote in before.counting if vote not in gate.counting]
    if not lost:
        return ()
    return tuple(
        replace(row, subject=f"{row.subject}{NEW_EVIDENCE}{len(gate.earlier_digests)}")
        for row in notices_for(release, Moment.GATE_REMINDER, audience, at, asks=gate)
        if row.channel is Channel.TEAMS or any(same_person(row.recipient, by) for by in lost)
    )


def _about(release: Release, moment: Moment, sending: int) -> str:
    """What tells the same moment of another gate, or of another try, apart: each is a message of its own."""
    if moment in OF_OPENING:
        return _gate_subject(release.phase, release.gen, sending)
    return f"again-{release.gen}" if release.gen > 1 else ""


def inserts(notices: Sequence[Notice]) -> tuple[Insert, ...]:
    return tuple(Insert(row=notice) for notice in notices)


def told(notice: Notice) -> str:
    """A message to a person in a few words: `email to ann@example.com, gate opened`."""
    return f"{notice.channel} to {notice.recipient}, {notice.moment.replace('_', ' ')}"


def is_retried(notice: Notice) -> bool:
    """It has been tried, in vain, and will be again."""
    return notice.state is NoticeState.PENDING and notice.attempts > 0


def send_command(notice: Notice, *, delay: timedelta = timedelta()) -> SendNotice:
    return SendNotice(
        release_id=notice.release_id,
        row_key=notice_key(notice),
        n=notice.attempts,
        redrive=notice.redrive,
        delay=delay,
    )


def write_and_send(rows: Sequence[Notice], ports: Ports, *changes: Change, delay: timedelta = timedelta()) -> None:
    """Write notices, in one transaction with what they are about, and then send their messages.

    Raises:
        ConflictError: a row is no longer as it was read; nothing was written.
    """
    ports.releases.commit(*changes, *inserts(rows))
    if rows:
        ports.bus.send([send_command(row, delay=delay) for row in rows])


def drive_again(stored: Versioned[Notice], now: datetime, ports: Ports) -> Notice:
    """Send the message of an overdue notice again.

    Raises:
        ConflictError: somebody has written it meanwhile.
    """
    row = replace(stored.row, redrive=stored.row.redrive + 1, due_at=now + redrive_wait(stored.row.redrive))
    ports.releases.commit(Update(row=row, etag=stored.etag))
    ports.bus.send((send_command(row),))
    return row


def deliver_notice(command: SendNotice, ports: Ports) -> None:
    """Deliver one pending notice; a channel that is down is tried again with back-off, then given up, visibly.

    A crash between delivery and write sends it once more, recognisable by its message id.
    """
    stored = _waiting(command, ports)
    if stored is None:
        return
    channel = ports.notifiers.get(stored.row.channel)
    if channel is None:
        _give_up(stored, f"{stored.row.channel} is not set up any more", ports)
        return
    letter = _letter(stored.row, ports)
    if letter is None:
        _write(stored, replace(stored.row, state=NoticeState.SENT, last_error="no longer needed", due_at=None), ports)
        return
    try:
        channel.deliver(letter)
    except TransientError as error:
        _try_again(stored, error, letter.release, ports)
    except PermanentError as error:
        _give_up(stored, str(error), ports)
    else:
        _write(stored, replace(stored.row, state=NoticeState.SENT, due_at=None), ports)


def give_up_notice(command: SendNotice, reason: str, ports: Ports) -> None:
    """Its message has died for good: nobody is told, visibly, and it is not driven again."""
    stored = _waiting(command, ports)
    if stored is not None:
        _give_up(stored, f"its message was given up ({reason}); the log of the function control says why", ports)


def _waiting(command: SendNotice, ports: Ports) -> Versioned[Notice] | None:
    """The notice, if it still waits for this very try."""
    stored = ports.releases.notice(command.release_id, command.row_key)
    if stored is None or stored.row.state is not NoticeState.PENDING or stored.row.attempts != command.n:
        log.info("notice dropped", action="notice_dropped", release_id=command.release_id, row_key=command.row_key)
        return None
    return stored


def _try_again(stored: Versioned[Notice], error: TransientError, release: Release, ports: Ports) -> None:
    attempts = stored.row.attempts + 1
    if attempts >= LEAST_ATTEMPTS and ports.clock.now() - stored.row.created_at >= TRIED_FOR:
        _give_up(stored, str(error), ports)
        return
    wait = max(release.policy.backoff(attempts), min(error.retry_after or timedelta(), LONGEST_WAIT))
    due_at = ports.clock.now() + wait + release.policy.overdue_after
    row = replace(stored.row, attempts=attempts, last_error=str(error)[:500], due_at=due_at)
    _write(stored, row, ports)
    log.warning(
        "a message to a person is not delivered yet, it is tried again",
        action="notice_retried",
        release_id=row.release_id,
        channel=row.channel,
        moment=row.moment,
        attempts=attempts,
        error=row.last_error,
    )
    ports.bus.send((send_command(row, delay=wait),))


def _give_up(stored: Versioned[Notice], error: str, ports: Ports) -> None:
    log.error(
        "a message to a person could not be delivered",
        action="notice_undelivered",
        release_id=stored.row.release_id,
        channel=stored.row.channel,
        moment=stored.row.moment,
    )
    _write(stored, replace(stored.row, state=NoticeState.UNDELIVERED, last_error=error[:500], due_at=None), ports)


def _write(stored: Versioned[Notice], row: Notice, ports: Ports) -> None:
    ports.releases.commit(Update(row=row, etag=stored.etag))


def _letter(notice: Notice, ports: Ports) -> Letter | None:
    """What there is to say now; None if it has been overtaken (the gate is answered already)."""
    release = ports.releases.release(notice.release_id)
    if release is None:
        return None
    runs: tuple[CircuitRun, ...] = tuple(stored.row for stored in ports.releases.runs(notice.release_id))
    gates: tuple[Gate, ...] = tuple(stored.row for stored in ports.releases.gates(notice.release_id))
    if notice.moment is Moment.GATE_DECIDED and decided_gate(gates, notice.subject) is None:
        return None
    link = None
    gate = next((g for g in gates if g.state is GateState.OPEN and _subject(g, release.row) == _opening(notice)), None)
    out_of_reach, way_out = told_to_operators(release.row, gate, ports) if gate else ("", "")
    if notice.moment is Moment.GATE_OUT_OF_REACH and not out_of_reach:
        return None
    if notice.moment in ASKING:
        if gate is None or vote_of(notice.recipient, gate):
            return None
        personal = notice.channel is Channel.EMAIL or ports.audience.signs_in
        if personal and not asked_for_it(release.row, notice.recipient):
            link = _asked_for(ports.tokens.link(gate, notice.recipient), ports)
    marked = _marked(release.row, ports)
    return Letter(
        notice=notice,
        release=release.row,
        runs=runs,
        gates=gates,
        summary=release_summary(release.row, runs, ports.estate, marked),
        marks=marks_told(marked),
        rollback_link=_rollback_link(notice, ports, is_half_way_back(release.row, runs)),
        link=link,
        view_url=ports.tokens.view_url(rollback_of(notice.release_id), _reader(notice, ports)),
        also_refused=_also_refused(notice, ports),
        operators=tuple(ports.audience.operators),
        out_of_reach=out_of_reach,
        way_out=way_out,
    )


def _reader(notice: Notice, ports: Ports) -> str:
    """Whose own the link to read is: a mail's to somebody on a list, where nobody signs in. Others open one release."""
    listed = notice.recipient in {*ports.audience.approvers, *ports.audience.operators}
    return notice.recipient if listed and notice.channel is Channel.EMAIL and not ports.audience.signs_in else ""


def _rollback_link(notice: Notice, ports: Ports, half_way_back: bool) -> GateLink | None:
    """Who is told by mail of a success, or of a way back that got stuck, can roll back from there; a card has no link."""
    is_about = notice.moment is Moment.RELEASE_SUCCEEDED or (notice.moment is Moment.RELEASE_FAILED and half_way_back)
    if not is_about or notice.channel is not Channel.EMAIL:
        return None
    return _asked_for(ports.tokens.rollback_link(notice.release_id, notice.recipient), ports)


def _asked_for(link: GateLink, ports: Ports) -> GateLink:
    """With its code, if the page will ask for one."""
    return replace(link, code="") if ports.audience.signs_in else link


def _marked(release: Release, ports: Ports) -> Sequence[EndpointLock]:
    """Every summary lists the open holds."""
    return ports.endpoints.marked(Environment.PRODUCTION, ports.clock.now()) if release.is_terminal else ()


def _opening(notice: Notice) -> str:
    return notice.subject.partition(NEW_EVIDENCE)[0]


def _subject(gate: Gate, release: Release) -> str:
    return _gate_subject(release.phase, gate.gen, gate.sendings)


def _gate_subject(phase: ReleasePhase, gen: int, sending: int) -> str:
    return f"{phase}-{gen}.{sending}" if sending else f"{phase}-{gen}"


def _also_refused(notice: Notice, ports: Ports) -> Sequence[Release]:
    """For a mail about a refused artifact: the others since the mail before it, as far as the day's list reaches."""
    if notice.moment is not Moment.ARTIFACT_INVALID:
        return ()
    since = notice.created_at - REFUSAL_SPACING
    wanted = Wanted(phase=ReleasePhase.INVALID, since=since.date())
    found, _ = listed_releases(wanted, ports, limit=MOST_LOOKED_AT)
    others = [
        one for one in found if one.release_id != notice.release_id and since < one.created_at < notice.created_at
    ]
    stored = (ports.releases.release(one.release_id) for one in others)
    return [one.row for one in stored if one is not None]
