"""Pages: one function per page."""

from collections.abc import Mapping, Sequence
from dataclasses import asdict
from itertools import accumulate
from pathlib import Path

from shared.application.activation_report import activation_rows, is_half_way_back
from shared.application.circuit_history import CircuitView
from shared.application.notices import is_retried
from shared.application.views import ApprovalState, ApprovalView, ReleasesView, ReleaseView, RollbackFormView
from shared.application.votes import approvers, vote_of
from shared.domain.model import Channel, Notice, NoticeState, ReleasePhase
from shared.domain.requester import approvals_needed
from shared.pages.circuit_facts import CircuitEntry, circuit_entries
from shared.pages.circuit_lines import CircuitLine, circuit_lines, weight
from shared.pages.environment import ENVIRONMENT
from shared.pages.long_release import shown

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

OPEN = frozenset({ApprovalState.OPEN, ApprovalState.CHANGED})
MOST_BYTES = 149_000
"""Of an approver's page: 200 circuits stay a page for a phone."""
MOST_CARDS = 12
"""Circuits shown in full; the rest is one line each."""
MOST_IN_CARDS = 40_000
"""Bytes of what is said in full; circuits about which there is more are lines as well."""
MOST_COMMANDS = 4
CHANNELS: Mapping[Channel, str] = {Channel.EMAIL: "mail", Channel.TEAMS: "Teams"}


def render_approval(view: ApprovalView) -> str:
    """The approver's page, below `MOST_BYTES` as long as that can be; its HTTP status is `APPROVAL_STATUS[view.state]`.

    What does not fit is counted in its circuit's line, which leads to the circuit's own page.
    """
    entries = circuit_entries(view.evidence)
    going = [entry for entry in entries if not entry.left_out]
    # Problems first, in the order of their names.
    going.sort(key=lambda entry: not entry.attention)
    full = _in_full(going)
    brief = going[len(full) :]
    known = {
        "view": view,
        "evidence": view.evidence,
        "gate": view.gate,
        "release": view.release,
        "cards": full,
        "circuits": going,
        "left_out": [entry for entry in entries if entry.left_out],
        "problems": sum(1 for entry in going if entry.attention),
        "mine": vote_of(view.recipient, view.gate),
        "is_open": view.state in OPEN,
        "can_answer": view.state in OPEN and not view.barred,
        "needed": approvals_needed(view.release),
        "given": len(approvers(view.gate)),
        "most_commands": MOST_COMMANDS,
    }
    least = _approval(known, circuit_lines(brief, 0))
    room = MOST_BYTES - len(least.encode())
    return _approval(known, circuit_lines(brief, room)) if brief and room > 0 else least


def _approval(known: Mapping[str, object], lines: Sequence[CircuitLine]) -> str:
    troubled = [line for line in lines if line.entry.attention]
    others = [line for line in lines if not line.entry.attention]
    return ENVIRONMENT.get_template("templates/approval.html").render(known, troubled=troubled, others=others)


def _in_full(going: Sequence[CircuitEntry]) -> Sequence[CircuitEntry]:
    """Those shown as cards: all of a small release, else the first that have something to look at."""
    wanted = going if len(going) <= MOST_CARDS else [entry for entry in going if entry.attention][:MOST_CARDS]
    sums = accumulate(weight(entry) for entry in wanted)
    return [entry for entry, used in zip(wanted, sums, strict=True) if used <= MOST_IN_CARDS]


def render_approval_circuit(view: ApprovalView, name: str) -> str | None:
    """Everything that a gate's evidence says about one circuit; None: it says nothing about it."""
    entry = next((entry for entry in circuit_entries(view.evidence) if entry.name == name), None)
    if entry is None:
        return None
    return ENVIRONMENT.get_template("templates/approval_circuit.html").render(
        view=view, evidence=view.evidence, gate=view.gate, release=view.release, entry=entry
    )


def render_rollback_form(view: RollbackFormView) -> str:
    """What a rollback would do, and the form that confirms it."""
    return ENVIRONMENT.get_template("templates/rollback_new.html").render(view=view)


def render_drift(view: ReleaseView) -> str:
    """Defaults that were changed outside, as they were found, and what of it is open now."""
    return ENVIRONMENT.get_template("templates/drift.html").render(view=view, release=view.release, runs=view.runs)


def render_release(view: ReleaseView) -> str:
    """One release as stages x circuits; refreshes itself until the release has ended."""
    lists = shown(view)
    return ENVIRONMENT.get_template("templates/release.html").render(
        view=view,
        activation=activation_rows(view.release, view.runs),
        half_way_back=is_half_way_back(view.release, view.runs),
        release=view.release,
        lists=lists,
        runs=lists.runs,
        undelivered=_undelivered(view),
        channels=CHANNELS,
    )


def render_rollback(view: ReleaseView) -> str:
    """One rollback, the result of each circuit first; refreshes itself until it and its smoke test have ended."""
    lists = shown(view, trouble_first=True)
    return ENVIRONMENT.get_template("templates/rollback.html").render(
        view=view,
        release=view.release,
        lists=lists,
        runs=lists.runs,
        undelivered=_undelivered(view),
        channels=CHANNELS,
    )


def _undelivered(view: ReleaseView) -> Sequence[Notice]:
    """Given up, or tried in vain so far; what would be said in the same words is said once."""
    some = (notice for notice in view.notices if notice.state is NoticeState.UNDELIVERED or is_retried(notice))
    return list({(one.state, one.channel, one.moment, one.last_error): one for one in some}.values())


def render_releases(view: ReleasesView) -> str:
    """The list of releases, with filters."""
    asked = {name: value for name, value in asdict(view.asked).items() if value}
    carried = {"view": view.view_token} if view.view_token else {}
    return ENVIRONMENT.get_template("templates/releases.html").render(
        view=view, phases=list(ReleasePhase), filtered=bool(asked), older=carried | asked | {"cursor": view.next_cursor}
    )


def render_circuit(view: CircuitView, *, view_token: str = "", view_release: str = "", reads_all: bool = False) -> str:
    """What has been live for a circuit; unless its reader sees all, the token it was opened with opens one release."""
    return ENVIRONMENT.get_template("templates/circuit_history.html").render(
        view=view, view_token=view_token, view_release=view_release, reads_all=reads_all or not view_token
    )


def render_error(status: int, title: str, detail: str) -> str:
    """Any refusal, as a page."""
    return ENVIRONMENT.get_template("templates/error.html").render(status=status, title=title, detail=detail)
