"""Pages: one function per page."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from shared.application.activation_report import activation_rows
from shared.application.circuit_history import CircuitView
from shared.application.metrics import MetricChange, compare_metrics
from shared.application.summary import merge_history
from shared.application.views import ApprovalState, ApprovalView, ReleasesView, ReleaseView, RollbackFormView
from shared.domain.model import UNSUCCESSFUL, Channel, Notice, NoticeState, ReleasePhase
from shared.pages.environment import ENVIRONMENT

STYLESHEET = (Path(__file__).parent / "pages.css").read_bytes()
"""Served as `/assets/pages.css`."""

APPROVAL_STATUS: Mapping[ApprovalState, int] = {
    ApprovalState.OPEN: 200,
    ApprovalState.CHANGED: 409,
    ApprovalState.DECIDED: 200,
    ApprovalState.EXPIRED: 410,
    ApprovalState.VOID: 409,
    ApprovalState.LINK_VOID: 403,
}
"""The HTTP status an approval page goes out with."""

MOST_CARDS = 12
"""Circuits shown in full; the rest is one line each, so that 200 of them stay a page for a phone."""
MOST_COMMANDS = 4
CHANNELS: Mapping[Channel, str] = {Channel.EMAIL: "mail", Channel.TEAMS: "Teams"}


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitEntry:
    """One circuit of a gate's evidence, ready for the page."""

    name: str
    facts: Mapping[str, object]
    attention: Sequence[str]
    metrics: Sequence[MetricChange]
    left_out: str


def render_approval(view: ApprovalView) -> str:
    """The approver's page; its HTTP status is `APPROVAL_STATUS[view.state]`."""
    entries = [_entry(circuit) for circuit in _circuits(view.evidence)]
    going = [entry for entry in entries if not entry.left_out]
    # Problems first, in the order of their names.
    going.sort(key=lambda entry: not entry.attention)
    # In a large release only what has something to look at is shown in full.
    full = going if len(going) <= MOST_CARDS else [entry for entry in going if entry.attention][:MOST_CARDS]
    brief = going[len(full) :]
    return ENVIRONMENT.get_template("templates/approval.html").render(
        view=view,
        evidence=view.evidence,
        gate=view.gate,
        release=view.release,
        cards=full,
        troubled=[entry for entry in brief if entry.attention],
        lines=[entry for entry in brief if not entry.attention],
        circuits=going,
        left_out=[entry for entry in entries if entry.left_out],
        problems=sum(1 for entry in going if entry.attention),
        is_open=view.state in {ApprovalState.OPEN, ApprovalState.CHANGED},
        can_answer=view.state in {ApprovalState.OPEN, ApprovalState.CHANGED} and not view.barred,
        most_commands=MOST_COMMANDS,
    )


def _circuits(evidence: Mapping[str, object]) -> Sequence[Mapping[str, object]]:
    circuits = evidence.get("circuits")
    return [circuit for circuit in circuits if isinstance(circuit, Mapping)] if isinstance(circuits, list) else []


def _entry(circuit: Mapping[str, object]) -> CircuitEntry:
    attention = circuit.get("attention")
    return CircuitEntry(
        name=f"{circuit.get('plant_id', '?')}/{circuit.get('circuit_id', '?')}",
        facts=circuit,
        attention=[str(line) for line in attention] if isinstance(attention, list) else [],
        metrics=compare_metrics(_metrics(circuit.get("model")), _metrics(circuit.get("live"))),
        left_out=str(circuit.get("left_out") or ""),
    )


def _metrics(model: object) -> object:
    return model.get("metrics") if isinstance(model, Mapping) else None


def render_rollback_form(view: RollbackFormView) -> str:
    """What a rollback would do, and the form that confirms it."""
    return ENVIRONMENT.get_template("templates/rollback_new.html").render(view=view)


def render_drift(view: ReleaseView) -> str:
    """Defaults that were changed outside, as they were found, and what of it is open now."""
    return ENVIRONMENT.get_template("templates/drift.html").render(view=view, release=view.release, runs=view.runs)


def render_release(view: ReleaseView) -> str:
    """One release as stages x circuits; refreshes itself until the release has ended."""
    return ENVIRONMENT.get_template("templates/release.html").render(
        view=view,
        activation=activation_rows(view.release, view.runs),
        release=view.release,
        runs=sorted(view.runs, key=lambda run: run.circuit),
        history=merge_history(view.release, view.runs, view.gates),
        undelivered=_undelivered(view),
        channels=CHANNELS,
    )


def render_rollback(view: ReleaseView) -> str:
    """One rollback, the result of each circuit first; refreshes itself until it and its smoke test have ended."""
    return ENVIRONMENT.get_template("templates/rollback.html").render(
        view=view,
        release=view.release,
        runs=sorted(view.runs, key=lambda run: (run.phase not in UNSUCCESSFUL, run.circuit)),
        history=merge_history(view.release, view.runs, view.gates),
        undelivered=_undelivered(view),
        channels=CHANNELS,
    )


def _undelivered(view: ReleaseView) -> Sequence[Notice]:
    return [notice for notice in view.notices if notice.state is NoticeState.UNDELIVERED]


def render_releases(view: ReleasesView) -> str:
    """The list of releases, with filters."""
    asked = {name: value for name, value in asdict(view.asked).items() if value}
    return ENVIRONMENT.get_template("templates/releases.html").render(
        view=view, phases=list(ReleasePhase), filtered=bool(asked), older=asked | {"cursor": view.next_cursor}
    )


def render_circuit(view: CircuitView, *, view_token: str = "", view_release: str = "") -> str:
    """What has been live for a circuit; the token the page was opened with opens its own release only."""
    return ENVIRONMENT.get_template("templates/circuit_history.html").render(
        view=view, view_token=view_token, view_release=view_release
    )


def render_error(status: int, title: str, detail: str) -> str:
    """Any refusal, as a page."""
    return ENVIRONMENT.get_template("templates/error.html").render(status=status, title=title, detail=detail)
