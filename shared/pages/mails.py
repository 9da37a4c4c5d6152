"""Pages: the mails, as subject, text and HTML; how they travel is the adapter's business."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from itertools import groupby

from shared.application.activation_report import activation_rows, not_as_it_was
from shared.application.answers import ASKING, answer_told, answers, going, how_many, letter_gate
from shared.application.evidence import attention, gate_document
from shared.application.gate_texts import GATE_TITLES, on_approve, on_reject
from shared.application.notices import REFUSAL_SPACING
from shared.application.ports import Estate, Letter
from shared.application.rollback_told import rollback_name
from shared.application.votes import asked_for_it, lost_vote
from shared.domain.model import NEUTRAL, UNSUCCESSFUL, Circuit, CircuitRun, Gate, GateState, Moment, Release
from shared.domain.naming import rollback_of
from shared.domain.words import clean
from shared.pages.environment import ENVIRONMENT
from shared.pages.formats import count, moment

MOST_SUBJECT = 150
MOST_CIRCUITS = 30
"""Lines of circuits in one mail; the page has them all."""
MOST_LISTED = 200
"""Lines of one list of a summary (R41: a line per circuit); beyond that the page is the place to look for one."""
LISTED = "   - "


@dataclass(frozen=True, slots=True, kw_only=True)
class Mail:
    subject: str
    text: str
    html: str


def render_mail(letter: Letter, estate: Estate) -> Mail:
    """One message to one person."""
    gate = letter_gate(letter)
    asks = letter.notice.moment in ASKING
    left_out = [run for run in letter.runs if run.phase in NEUTRAL] if asks else []
    runs = sorted((run for run in letter.runs if run not in left_out), key=_worst_first if asks else _failed_first)
    subject = subject_line(letter, gate)
    values: dict[str, object] = {
        "letter": replace(letter, summary=_abridged(letter.summary)),
        "release": letter.release,
        "runs": runs,
        "shown": runs[:MOST_CIRCUITS],
        "hidden": max(0, len(runs) - MOST_CIRCUITS),
        "left_out": left_out,
        "gate": gate,
        "title": GATE_TITLES[gate.gate] if gate else "",
        "document": gate_document(gate.gate, letter.release, letter.runs, estate) if gate else {},
        "problems": sum(1 for run in runs if attention(run)),
        "attention": attention,
        "answers": _answers(letter),
        "evidence_sha256": "" if asks else letter.release.evidence_sha256,
        "activation": (activation := activation_rows(letter.release, letter.runs)),
        "left": not_as_it_was(activation),
        "marks": letter.marks,
        "subject": subject,
        "refused_because": release_problem(letter.release),
        "refusal_minutes": int(REFUSAL_SPACING.total_seconds() // 60),
        "barred": asked_for_it(letter.release, letter.notice.recipient) if asks else "",
        "lost": lost_vote(letter.notice.recipient, gate) if gate and asks else None,
        "reminder": letter.notice.moment is Moment.GATE_REMINDER,
        "consequences": _consequences(letter, gate, estate),
        "preheader": _preheader(letter, gate if asks else None),
    }
    name = f"mail/{'gate' if asks else letter.notice.moment}"
    return Mail(
        subject=subject,
        text=ENVIRONMENT.get_template(f"{name}.txt").render(values).strip() + "\n" + _seal(values["evidence_sha256"]),
        html=ENVIRONMENT.get_template(f"{name}.html").render(values),
    )


def _abridged(summary: str) -> str:
    """A summary of five thousand circuits would be a mail that nobody reads and many programs cut."""
    lines: list[str] = []
    for is_list, block in groupby(summary.splitlines(), key=lambda line: line.startswith(LISTED)):
        told = list(block)
        hidden = len(told) - MOST_LISTED if is_list else 0
        lines += told[:MOST_LISTED] if is_list else told
        lines += [f"{LISTED}… and {hidden} more; the page has them all"] if hidden > 0 else []
    return "\n".join(lines)


def release_problem(refused: Release) -> str:
    """Why an artifact was refused, without its path, which the mail tells beside it."""
    return refused.reason.removeprefix(f"{refused.artifact_path}: ") or "It can't be used."


def _seal(digest: object) -> str:
    """What the auditor compares the bundle with: a copy of it that nobody can change afterwards."""
    return f"\nevidence.json, SHA-256: {digest}\n" if digest else ""


def _answers(letter: Letter) -> Sequence[str]:
    """Who has decided so far; of a decision's own mail: what counted there."""
    told = answers(letter)
    if letter.notice.moment is Moment.GATE_DECIDED:
        gate = letter_gate(letter)
        told = [(gate, vote) for vote in gate.counting] if gate else []
    return [
        f"{answer_told(gate, vote)}, {moment(vote.at)}" + (f": {vote.comment}" if vote.comment else "")
        for gate, vote in told
    ]


def _consequences(letter: Letter, gate: Gate | None, estate: Estate) -> Sequence[str]:
    """What a decision has set off."""
    if gate is None or letter.notice.moment is not Moment.GATE_DECIDED:
        return ()
    if gate.state is GateState.REJECTED:
        return on_reject(gate.gate)
    return on_approve(gate.gate, going(letter), estate)


def _worst_first(run: CircuitRun) -> tuple[bool, bool, Circuit]:
    return run.phase not in UNSUCCESSFUL, not attention(run), run.circuit


def _failed_first(run: CircuitRun) -> tuple[bool, Circuit]:
    return run.phase not in UNSUCCESSFUL, run.circuit


def subject_line(letter: Letter, gate: Gate | None) -> str:
    """One line for the inbox: what is wanted or what happened, and where."""
    release, runs = letter.release, letter.runs
    match letter.notice.moment:
        case Moment.GATE_OPENED | Moment.GATE_REMINDER | Moment.GATE_DECIDED | Moment.GATE_EXPIRED:
            line = _gate_line(letter, gate)
        case Moment.GATE_OUT_OF_REACH:
            line = f"Too few can approve: {_gate_named(letter, gate)}"
        case Moment.RELEASE_SUCCEEDED:
            line = f"Release {release.release_id} is live in Production ({_circuits(letter)})"
        case Moment.RELEASE_FAILED:
            left = not_as_it_was(activation_rows(release, runs))
            line = f"Release {release.release_id} failed{f', {left}' if left else ''}{_failed_names(runs)}"
        case Moment.ROLLBACK_ENDED:
            line = f"{rollback_name(release)} {str(release.phase).replace('_', ' ')}: {release.release_id} ({count(len(runs), 'circuit')})"
        case Moment.CHECK_FAILED:
            line = f"Smoke test failed after {rollback_of(release.release_id)}{_failed_names(runs)}"
        case Moment.WAY_BACK_STALLED:
            line = f"Production may be in between: {release.release_id} does not go on"
        case Moment.DRIFT_FOUND:
            line = (
                f"Changed outside the pipeline: {count(release.total, 'default')} in Production ({release.release_id})"
            )
        case Moment.ARTIFACT_INVALID:
            others = f" and {count(len(letter.also_refused), 'other')}" if letter.also_refused else ""
            line = f"Artifact refused: {release.artifact_path or release.release_id}{others}"
        case _:
            line = f"Release {release.release_id} ended: {str(release.phase).replace('_', ' ')}"
    return one_line(line)


def _gate_line(letter: Letter, gate: Gate | None) -> str:
    about = _gate_named(letter, gate)
    match letter.notice.moment:
        case Moment.GATE_OPENED:
            wish = "Others decide" if asked_for_it(letter.release, letter.notice.recipient) else "Please decide"
            return f"{wish}: {about} ({_circuits(letter)})"
        case Moment.GATE_REMINDER:
            is_lost = gate and lost_vote(letter.notice.recipient, gate)
            return f"{'Your approval no longer counts' if is_lost else 'Reminder'}, please decide: {about}"
        case decided:
            state = gate.state if gate and decided is Moment.GATE_DECIDED else GateState.EXPIRED
            return f"{state.capitalize()}: {about}"


def _gate_named(letter: Letter, gate: Gate | None) -> str:
    return f"{GATE_TITLES[gate.gate] if gate else 'gate'} of release {letter.release.release_id}"


def one_line(text: str) -> str:
    """Printable characters only, in one line: nothing in a subject can start another header."""
    return clean(text)[:MOST_SUBJECT]


def _circuits(letter: Letter) -> str:
    return f"{how_many(letter)} circuit{'' if len(letter.runs) == 1 else 's'}"


def _failed_names(runs: Sequence[CircuitRun]) -> str:
    failed = [str(run.circuit) for run in runs if run.phase in UNSUCCESSFUL]
    more = f" and {len(failed) - 2} more" if len(failed) > 2 else ""
    return f": {', '.join(failed[:2])}{more}" if failed else ""


def _preheader(letter: Letter, gate: Gate | None) -> str:
    """What an inbox shows beside the subject."""
    if gate is not None:
        problems = sum(1 for run in letter.runs if run.phase not in NEUTRAL and attention(run))
        return f"{count(problems, 'circuit')} to look at; answer by {moment(gate.expires_at)}"
    if letter.notice.moment is Moment.ARTIFACT_INVALID:
        return one_line(release_problem(letter.release))
    if letter.notice.moment is Moment.GATE_DECIDED:
        return one_line("; ".join(_answers(letter)))
    if letter.out_of_reach and letter.notice.moment is Moment.GATE_OUT_OF_REACH:
        return one_line(letter.out_of_reach)
    return one_line(letter.release.reason) or f"Build {letter.release.build_id}"
