"""Every page and mail with sample data, and a small web server that shows them as the app would."""

import contextlib
import hashlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from itertools import pairwise

from local.functions_host.easy_auth import parse_people, sign_in_page
from local.stack.approvals import PEOPLE
from shared.application.checks import CheckView
from shared.application.circuit_history import Approval, CircuitView, LiveTime
from shared.application.evidence import gate_evidence
from shared.application.hold_history import Hold, hold_spans
from shared.application.plans import RollbackTarget
from shared.application.ports import GateLink, Letter
from shared.application.rollback_affected import Newer
from shared.application.rollback_preview import CircuitPreview, RollbackPreview
from shared.application.summary import release_summary
from shared.application.views import ApprovalState, ApprovalView, ReleasesView, ReleaseView, RollbackFormView
from shared.domain.listing import Listed, listed_as
from shared.domain.model import (
    Circuit,
    CircuitPhase,
    CircuitRun,
    EndpointLock,
    Environment,
    Gate,
    GateDecision,
    GateName,
    GateState,
    HistoryEntry,
    LedgerEntry,
    Moment,
    ProcessKind,
    Release,
    ReleasePhase,
)
from shared.pages import (
    HEADERS,
    STYLESHEET,
    STYLESHEET_HEADERS,
    render_approval,
    render_approval_circuit,
    render_circuit,
    render_drift,
    render_error,
    render_mail,
    render_release,
    render_releases,
    render_rollback,
    render_rollback_form,
)
from tests.support.builders import a_hold
from tests.support.card_pages import SCRIPTS, card_page, signed_in_link
from tests.support.release_samples import (
    APPROVER,
    CIRCUITS,
    ESTATE,
    LIVE_TIMES,
    LIVE_WAY,
    NOW,
    STARTED,
    WENT_LIVE,
    a_gate,
    a_letter,
    a_release,
    a_rollback,
    a_run,
    checked_runs,
    failed_runs,
    gone,
    inspected_evidence,
    rolled_back_runs,
    tested_evidence,
    three_live,
    three_runs,
    three_tested,
)

IN_TEST = STARTED + timedelta(minutes=11, seconds=30)
WAITING = (
    "release 20251210.6 is awaiting production approval with PLANT001/CIRCUIT01: it will leave them out as long as they are held",
)
DECISION = GateDecision(
    at=NOW,
    decision="approve",
    by="mona@example.com",
    how="by the link sent to mona@example.com",
    comment="Metrics fine",
    digest="9b1c" * 16,
)
THIRD_OF_DECEMBER, TENTH_OF_DECEMBER = NOW - timedelta(days=7, hours=3, minutes=23), NOW - timedelta(hours=5)
ASKED = datetime(2025, 12, 3, 14, tzinfo=UTC)
REJECTION = replace(DECISION, decision="reject", comment="The cutoff date should be 2025-12-01: wrong build")

BARRED = f"{APPROVER} asked for this release, so somebody else must decide (REQUESTER_MAY_APPROVE is off)."


def an_approval(
    at: GateName = GateName.REGISTRY,
    runs: tuple[CircuitRun, ...] | None = None,
    release: Release | None = None,
    **changes: object,
) -> ApprovalView:
    """An open gate as its approver sees it, by a personal link."""
    awaiting = {
        GateName.REGISTRY: ReleasePhase.AWAITING_REGISTRY_APPROVAL,
        GateName.PRODUCTION: ReleasePhase.AWAITING_PRODUCTION_APPROVAL,
    }
    release = release or a_release(phase=awaiting[at])
    rows = runs or (three_runs() if at is GateName.REGISTRY else three_tested())
    view = ApprovalView(
        state=ApprovalState.OPEN,
        release=release,
        gate=a_gate(at),
        evidence=json.loads(gate_evidence(at, release, rows, ESTATE)),
        now=NOW,
        recipient=APPROVER,
        code_needed=True,
        csrf="0f" * 32,
        view_url="/releases/20251210.1?view=x",
        artifact_url="/releases/20251210.1/artifact?view=x",
    )
    return replace(view, **changes)  # type: ignore[arg-type]


def many_runs(count: int, in_trouble: int = 3, at: GateName = GateName.REGISTRY) -> tuple[CircuitRun, ...]:
    """A large release; the first few circuits have something to look at."""
    circuits = [Circuit(plant_id=f"PLANT{n // 10:03}", circuit_id=f"CIRCUIT{n % 10:02}") for n in range(count)]
    phase = CircuitPhase.INSPECTED if at is GateName.REGISTRY else CircuitPhase.TESTED
    evidence = inspected_evidence if at is GateName.REGISTRY else tested_evidence
    return tuple(
        a_run(
            circuit,
            phase=phase,
            evidence=evidence(circuit),
            warnings=("the test data is three weeks old",) if n < in_trouble else (),
        )
        for n, circuit in enumerate(circuits)
    )


def sample_pages() -> Mapping[str, str]:
    """Name -> HTML, all of them."""
    approved = a_gate(state=GateState.APPROVED, decisions=(DECISION,))
    testing = a_release(phase=ReleasePhase.TESTING)
    live = a_live_release()
    failed = a_release(phase=ReleasePhase.FAILED, reason="PLANT001/CIRCUIT02 failed in Test", ended_at=IN_TEST)
    return {
        "approval-registry": render_approval(an_approval()),
        "approval-signed-in": render_approval(an_approval(code_needed=False)),
        "approval-production": render_approval(an_approval(GateName.PRODUCTION)),
        "approval-many": render_approval(an_approval(runs=many_runs(200))),
        "approval-circuit": _approval_circuit(),
        "approval-barred": render_approval(an_approval(barred=BARRED)),
        "approval-wrong-code": render_approval(
            an_approval(
                problem="That was not the code from your mail.", tries_left=4, decision="approve", comment="Fine"
            )
        ),
        "approval-changed": render_approval(
            an_approval(
                state=ApprovalState.CHANGED,
                changes=("PLANT001/CIRCUIT01 live deployment: was deployment-20251203-5, is deployment-20251209-1",),
            )
        ),
        "approval-outdated": render_approval(
            an_approval(
                GateName.PRODUCTION,
                outdated=(
                    "PLANT001/CIRCUIT01 hold: was absent, is held since 10 Dec 2025, 09:12 UTC, by ops, because noise",
                    "PLANT001/CIRCUIT01 wanted: was deployment-20251203-1, is deployment-20251126-1",
                ),
            )
        ),
        "approval-decided": render_approval(
            an_approval(state=ApprovalState.DECIDED, gate=approved, recipient="otto@example.com")
        ),
        "approval-expired": render_approval(an_approval(state=ApprovalState.EXPIRED)),
        "approval-earlier-opening": render_approval(an_approval(state=ApprovalState.VOID)),
        "approval-void": render_approval(
            an_approval(
                state=ApprovalState.VOID,
                gate=a_gate(state=GateState.VOID),
                release=a_release(phase=ReleasePhase.CANCELLED, reason="wrong cutoff date"),
            )
        ),
        "approval-link-void": render_approval(an_approval(state=ApprovalState.LINK_VOID)),
        "release-testing": render_release(
            ReleaseView(
                release=testing,
                runs=_in_test(),
                gates=(approved,),
                summary="",
                now=IN_TEST,
                expected_end=IN_TEST + timedelta(minutes=7),
            )
        ),
        "release-paused": render_release(
            ReleaseView(release=testing, runs=_in_test(), gates=(approved,), summary="", now=IN_TEST, paused=True)
        ),
        "release-succeeded": render_release(
            ReleaseView(
                release=live,
                runs=three_live(),
                gates=(approved, an_approved_production()),
                summary=release_summary(live, three_live(), ESTATE),
                now=WENT_LIVE + timedelta(hours=1),
            )
        ),
        "release-failed": render_release(
            ReleaseView(release=failed, runs=failed_runs(), gates=(approved,), summary="", now=NOW)
        ),
        "rollback": render_rollback(a_rollback_view()),
        "rollback-running": render_rollback(
            a_rollback_view(
                release=a_rollback(phase=ReleasePhase.ROLLING_BACK, ended_at=None, evidence_sha256=""),
                runs=_restoring(),
                marks=(),
            )
        ),
        "rollback-checked": render_rollback(
            a_rollback_view(
                release=a_rollback(smoke_test=True),
                runs=rolled_back_runs()[:1],
                check=CheckView(phase=ReleasePhase.FAILED, has_ended=True, runs=checked_runs()),
            )
        ),
        "rollback-newer": render_rollback_form(a_refused_form()),
        "rollback-new": render_rollback_form(a_rollback_form()),
        "rollback-to-look-at": render_rollback_form(a_rollback_form(may_confirm=False)),
        "rollback-refused": render_rollback_form(
            a_rollback_form(problem="The code is wrong; 4 tries left. It stands in your mail.", reason="bad forecasts")
        ),
        "rollback-nothing": render_rollback_form(
            a_rollback_form(preview=RollbackPreview(refused="PLANT001/CIRCUIT01: nothing was live before it (D6)."))
        ),
        "drift": render_drift(
            ReleaseView(release=_drift(), runs=(), gates=(), summary="", now=NOW, marks=_drift().warnings)
        ),
        "circuit": render_circuit(_circuit()),
        "circuit-at": render_circuit(circuit_asked()),
        "releases": render_releases(ReleasesView(releases=_list(), now=NOW, next_cursor="next")),
        "error": render_error(404, "Not found", "There is no such page, or the link is not complete."),
    }


def _approval_circuit() -> str:
    """What "more" in a line of a large release leads to."""
    page = render_approval_circuit(an_approval(GateName.PRODUCTION), "PLANT001/CIRCUIT02")
    assert page is not None
    return page


def a_rollback_form(**changes: object) -> RollbackFormView:
    """An operator's page about a release of three circuits, by a personal link."""
    circuits = [
        CircuitPreview(
            target=RollbackTarget(
                plant_id=run.circuit.plant_id,
                circuit_id=run.circuit.circuit_id,
                endpoint=run.endpoint,
                live=run.deployment,
                to="deployment-20251203-5",
                fence=4,
                release_id=run.release_id,
            ),
            live=run.deployment,
            health="Succeeded" if n else "does not exist any more",
            healthy=bool(n),
            attention=() if n else ("held since 9 Dec 2025, 08:00 UTC, by ops@example.com, because of bad forecasts",),
        )
        for n, run in enumerate(three_live())
    ]
    view = RollbackFormView(
        about="release 20251210.1",
        preview=RollbackPreview(circuits=circuits, affected=WAITING),
        environment=Environment.PRODUCTION,
        hold_days=14,
        may_confirm=True,
        person="ops@example.com",
        code_needed=True,
        csrf="0f" * 32,
        chosen=["PLANT001/CIRCUIT01"],
        view_url="/releases/20251210.1?view=x",
    )
    return replace(view, **changes)  # type: ignore[arg-type]  # columns of the dataclass


def a_refused_form() -> RollbackFormView:
    """By the mail about a release whose circuits a newer one is just taking."""
    newer = Newer(release_id="20251210.5", circuits=CIRCUITS, is_at_work=True)
    said = "PLANT001/CIRCUIT01: deployment-20251210-5 should be live, not deployment-20251210-1 (release 20251210.5 "
    refused = f"{said}has been activating it since 2025-12-10T15:01:00Z). Nothing was changed."
    return a_rollback_form(
        preview=RollbackPreview(refused=refused, newer=(newer,)),
        newer_urls={"20251210.5": "/rollbacks/new?link=x&release=20251210.5"},
    )


def a_rollback_view(**changes: object) -> ReleaseView:
    """A rollback of two circuits, one of which could not be put back."""
    held = "PLANT001/CIRCUIT01: held since 10 Dec 2025, 09:00 UTC, by otto@example.com, because predictions drifted overnight"
    view = ReleaseView(
        release=_rollback(), runs=rolled_back_runs(), gates=(), summary="", now=NOW, marks=(held,), view_token="x"
    )
    return replace(view, **changes)  # type: ignore[arg-type]  # columns of the dataclass


def _restoring() -> tuple[CircuitRun, ...]:
    since = NOW - timedelta(seconds=20)
    begun = (HistoryEntry(at=since, source="", target=CircuitPhase.RESTORING),)
    return tuple(
        replace(run, phase=CircuitPhase.RESTORING, error="", evidence={}, since=since, hist=begun)
        for run in rolled_back_runs()
    )


def _drift() -> Release:
    said = ("PLANT001/CIRCUIT01: hotfix-by-hand is live on be-plant001-circuit01, deployment-20251210-1 should be",)
    return a_release(release_id="drift-1", phase=ReleasePhase.FAILED, kind=ProcessKind.DRIFT, total=1, warnings=said)


def _rollback() -> Release:
    return a_rollback(phase=ReleasePhase.FAILED, reason="1 of 2 circuits could not be put back")


def _in_test() -> tuple[CircuitRun, ...]:
    phases = (CircuitPhase.TESTED, CircuitPhase.SMOKE_TESTING, CircuitPhase.QUEUED)
    return tuple(gone(run, phase) for run, phase in zip(three_tested(), phases, strict=True))


def a_live_release() -> Release:
    """As it stands when it has ended."""
    ended = WENT_LIVE + timedelta(seconds=1)
    way = {
        "inspecting": STARTED,
        "awaiting_registry_approval": _passed("inspected"),
        "promoting": _passed("promoting"),
        "testing": _passed("deploying_test"),
        "awaiting_production_approval": _passed("tested"),
        "staging_production": _passed("locking"),
        "activating": _passed("activating"),
        "succeeded": ended,
    }
    hist = tuple(HistoryEntry(at=way[target], source=source, target=target) for source, target in pairwise(("", *way)))
    return a_release(phase=ReleasePhase.SUCCEEDED, ended_at=ended, evidence_sha256="75b37ca0" * 8, hist=hist)


def an_approved_production() -> Gate:
    """Gate 2, decided an hour after gate 1."""
    opened, decided = _passed("tested"), _passed("locking")
    return a_gate(
        GateName.PRODUCTION,
        state=GateState.APPROVED,
        opened_at=opened,
        decisions=(replace(DECISION, at=decided, comment="Rows and predictions look right"),),
        hist=(
            HistoryEntry(at=opened, source="", target="open"),
            HistoryEntry(at=decided, source="open", target="approved", by=DECISION.by),
        ),
    )


def _passed(phase: str) -> datetime:
    """When the circuits of the sample release got there."""
    return LIVE_TIMES[LIVE_WAY.index(phase) - 1]


def _circuit() -> CircuitView:
    """A release of the third of December, one of the tenth, and the rollback that undid it in the afternoon."""
    first = _went_live("20251203.5", fence=1, at=THIRD_OF_DECEMBER, until=TENTH_OF_DECEMBER)
    second = _went_live("20251210.1", fence=2, at=TENTH_OF_DECEMBER, until=NOW, previous=first.entry.deployment)
    rollback = a_rollback()
    brought_back = replace(
        first,
        entry=replace(
            first.entry,
            fence=3,
            previous=second.entry.deployment,
            release_id=rollback.release_id,
            activated_at=NOW,
            by=rollback.requested_by,
        ),
        until=None,
        release=rollback,
        bundle_sha256=_sha256(rollback.release_id),
    )
    lock = EndpointLock(
        environment=Environment.PRODUCTION,
        circuit=CIRCUITS[0],
        owner=rollback.release_id,
        owner_seq=1,
        fence=3,
        hold_until=NOW + timedelta(days=14),
        hold_by=rollback.requested_by,
        hold_why=rollback.reason_asked,
    )
    times = [brought_back, second, first]
    return CircuitView(
        circuit=CIRCUITS[0], now=NOW + timedelta(hours=2), times=times, lock=lock, holds=_holds(CIRCUITS[0], rollback)
    )


def _went_live(release_id: str, *, fence: int, at: datetime, until: datetime, previous: str = "") -> LiveTime:
    """A release's time: approved a quarter of an hour before, on evidence of its own."""
    seen = _sha256(f"evidence of {release_id}")
    vote = replace(DECISION, at=at - timedelta(minutes=15), digest=seen)
    gate = a_gate(
        GateName.PRODUCTION,
        release_id=release_id,
        state=GateState.APPROVED,
        opened_at=at - timedelta(minutes=50),
        digest=seen,
        decisions=(vote,),
    )
    number = release_id.replace(".", "-")
    release = a_release(release_id=release_id, phase=ReleasePhase.SUCCEEDED)
    return LiveTime(
        entry=LedgerEntry(
            environment=Environment.PRODUCTION,
            circuit=CIRCUITS[0],
            fence=fence,
            deployment=f"deployment-{number}",
            previous=previous,
            release_id=release_id,
            activated_at=at,
            by=f"release {release_id}",
        ),
        until=until,
        release=release,
        gate=gate,
        gate_release=release,
        approval=Approval(release_id=release_id, by=(vote.by,), at=vote.at, evidence_sha256=seen),
        bundle_sha256=_sha256(release_id),
        model=f"plant001-circuit01 {number}",
        cutoff_date="2025-10-01" if fence == 1 else "2025-11-01",
    )


def circuit_asked() -> CircuitView:
    """What scored PLANT001/CIRCUIT01 on 3 December at 14:00? The one time that spans it."""
    view = _circuit()
    spans = [time for time in view.times if time.entry.activated_at <= ASKED < (time.until or view.now)]
    return replace(view, at=ASKED, times=spans, holds=())


def _sha256(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()


def _holds(circuit: Circuit, rollback: Release) -> tuple[Hold, ...]:
    """One that a rollback set and nobody has lifted; before it one that an operator set, and another lifted."""
    since = NOW - timedelta(days=30)
    open_one = a_hold(
        circuit,
        number=3,
        at=NOW,
        until=NOW + timedelta(days=14),
        by=rollback.requested_by,
        why=rollback.reason_asked,
        release_id=rollback.release_id,
    )
    early = a_hold(circuit, number=1, at=since, until=since + timedelta(days=14), by="ops@example.com")
    lifted = a_hold(
        circuit, number=2, at=since + timedelta(days=3), by="mona@example.com", why="the sensor is in place"
    )
    return tuple(hold_spans((open_one, lifted, early)))


def _list() -> tuple[Listed, ...]:
    releases = (
        a_release(release_id="20251210.3", phase=ReleasePhase.TESTING),
        a_release(release_id="20251210.2", phase=ReleasePhase.FAILED, reason="PLANT001/CIRCUIT02: smoke test failed"),
        a_release(phase=ReleasePhase.AWAITING_PRODUCTION_APPROVAL),
        a_release(release_id="20251209.1", phase=ReleasePhase.SUCCEEDED),
        a_release(release_id="20251208.1", phase=ReleasePhase.EXPIRED),
    )
    return tuple(listed_as(release) for release in releases)


def sample_letters() -> Mapping[str, Letter]:
    """Moment -> what there is to say then."""
    live = a_live_release()
    failed = a_release(phase=ReleasePhase.FAILED, reason="PLANT001/CIRCUIT02 failed in Test")
    decided = a_gate(state=GateState.APPROVED, decisions=(DECISION,))
    rejected = a_gate(state=GateState.REJECTED, decisions=(REJECTION,))
    one_vote = a_gate(decisions=(replace(DECISION, by="otto@example.com"),))
    production = a_letter(
        runs=three_tested(),
        release=a_release(phase=ReleasePhase.AWAITING_PRODUCTION_APPROVAL),
        gates=(decided, a_gate(GateName.PRODUCTION, opened_at=NOW)),
    )
    return {
        "gate-opened": a_letter(),
        "gate-signed-in": a_letter(link=signed_in_link()),
        "gate-production": production,
        "gate-reminder": a_letter(Moment.GATE_REMINDER, gates=(one_vote,)),
        "gate-out-of-reach": a_letter(
            Moment.GATE_OUT_OF_REACH,
            release=a_release(requested_by="mona@example.com", requester_signed_in=True),
            out_of_reach=(
                "1 person must approve, and of those in APPROVERS (mona@example.com) nobody can. mona@example.com asked for "
                "this release and may not decide (REQUESTER_MAY_APPROVE is off)."
            ),
            way_out=(
                "add somebody to APPROVERS, then POST /api/releases/20251210.1/gates/registry-approval/notices, which mails "
                "them a link; or POST /api/releases/20251210.1/cancel, and let somebody else ask for it."
            ),
        ),
        "gate-decided": a_decided_letter(
            decided, phase=ReleasePhase.PROMOTING, exclusions={"PLANT001/CIRCUIT02": "its sensor is being replaced"}
        ),
        "gate-rejected": a_decided_letter(rejected, phase=ReleasePhase.REJECTED, evidence_sha256="75b37ca0" * 8),
        "gate-expired": a_letter(
            Moment.GATE_EXPIRED,
            release=a_release(phase=ReleasePhase.EXPIRED, evidence_sha256="75b37ca0" * 8),
            gates=(a_gate(state=GateState.EXPIRED),),
        ),
        "succeeded": a_letter(
            Moment.RELEASE_SUCCEEDED,
            release=live,
            runs=three_live(),
            gates=(decided, an_approved_production()),
            summary=release_summary(live, three_live(), ESTATE),
            rollback_link=GateLink(url="https://releases.example.com/rollbacks/new?link=x", code="123456"),
        ),
        "failed": a_letter(Moment.RELEASE_FAILED, release=failed, runs=failed_runs()),
        "ended": a_letter(
            Moment.RELEASE_ENDED,
            release=a_release(phase=ReleasePhase.CANCELLED, reason="cancelled by otto@example.com: wrong cutoff date"),
            gates=(decided,),
        ),
        "rollback": a_letter(
            Moment.ROLLBACK_ENDED,
            release=_rollback(),
            runs=rolled_back_runs(),
            gates=(),
            summary=release_summary(_rollback(), rolled_back_runs(), ESTATE),
        ),
        "check-failed": a_letter(
            Moment.CHECK_FAILED,
            release=a_rollback(release_id="check-527dd08840a67573", kind=ProcessKind.CHECK, phase=ReleasePhase.FAILED),
            runs=checked_runs(),
            gates=(),
        ),
        "stalled": a_letter(
            Moment.WAY_BACK_STALLED,
            release=replace(
                _rollback(),
                phase=ReleasePhase.ROLLING_BACK,
                ended_at=None,
                reason="handing out rollback work was given up after 3 more tries (MaxDeliveryCountExceeded)",
            ),
            runs=rolled_back_runs(),
            gates=(),
        ),
        "drift": a_letter(Moment.DRIFT_FOUND, release=_drift(), runs=(), gates=()),
        "invalid": a_letter(
            Moment.ARTIFACT_INVALID,
            runs=(),
            gates=(),
            release=a_release(phase=ReleasePhase.INVALID, reason="circuits[0] has no cutoff_date"),
        ),
    }


def a_decided_letter(gate: Gate, **changes: object) -> Letter:
    """What operators and the channel read when somebody has answered."""
    letter = a_letter(Moment.GATE_DECIDED, release=a_release(**changes), gates=(gate,))
    return replace(
        letter, notice=replace(letter.notice, recipient="otto@example.com", subject=f"{gate.gate}-{gate.gen}")
    )


def sample_mails() -> Mapping[str, str]:
    """Name -> the HTML part of each mail."""
    return {f"mail-{name}": render_mail(letter, ESTATE).html for name, letter in sample_letters().items()}


def sample_cards() -> Mapping[str, str]:
    """Name -> a page with the card of each moment that a channel is told of."""
    told = {name: letter for name, letter in sample_letters().items() if name != "invalid"}
    return {f"card-{name}": card_page(letter) for name, letter in told.items()}


def sample_sign_in() -> Mapping[str, str]:
    """The local stack's page in the place of Entra ID."""
    return {"sign-in": sign_in_page(parse_people({"People": PEOPLE}), "/approvals/token")}


def samples() -> Mapping[str, str]:
    """Everything that people are shown, by name."""
    return {**sample_pages(), **sample_mails(), **sample_cards(), **sample_sign_in()}


@contextlib.contextmanager
def page_server(pages: Mapping[str, str]) -> Iterator[str]:
    """Serves the pages under their names, with the headers of the app; gives the base address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.strip("/").split("?")[0]
            if name == "assets/pages.css":
                self._reply(200, STYLESHEET, STYLESHEET_HEADERS)
            elif name in SCRIPTS:
                self._reply(200, SCRIPTS[name].read_bytes(), {"Content-Type": "text/javascript"})
            elif name in pages:
                # Mails bring their styles along; mail programs and Teams apply no policy of ours.
                ours = not name.startswith(("mail-", "card-", "sign-in"))
                self._reply(200, pages[name].encode(), HEADERS if ours else {"Content-Type": HEADERS["Content-Type"]})
            else:
                self._reply(404, b"", {})

        def _reply(self, status: int, body: bytes, headers: Mapping[str, str]) -> None:
            self.send_response(status)
            for header, value in headers.items():
                self.send_header(header, value)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *args: object) -> None:
            """Nobody reads it."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
