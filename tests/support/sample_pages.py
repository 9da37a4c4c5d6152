"""Every page and mail with sample data, and a small web server that shows them as the app would."""

import contextlib
import json
import threading
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

from shared.application.evidence import gate_evidence
from shared.application.summary import release_summary
from shared.application.views import ApprovalState, ApprovalView, ReleasesView, ReleaseView
from shared.domain.model import (
    Circuit,
    CircuitPhase,
    CircuitRun,
    GateDecision,
    GateName,
    GateState,
    HistoryEntry,
    Moment,
    Release,
    ReleasePhase,
)
from shared.pages import (
    HEADERS,
    STYLESHEET,
    STYLESHEET_HEADERS,
    render_approval,
    render_error,
    render_mail,
    render_release,
    render_releases,
)
from tests.support.release_samples import (
    APPROVER,
    ESTATE,
    NOW,
    a_gate,
    a_letter,
    a_release,
    a_rollback,
    a_run,
    failed_runs,
    rolled_back_runs,
    three_live,
    three_runs,
    three_tested,
)

DECISION = GateDecision(
    at=NOW,
    decision="approve",
    by="mona@example.com",
    how="by the link sent to mona@example.com",
    comment="Metrics fine",
    digest="9b1c",
)


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
    )
    return replace(view, **changes)  # type: ignore[arg-type]


def many_runs(count: int, in_trouble: int = 3) -> tuple[CircuitRun, ...]:
    """A large release; the first few circuits have something to look at."""
    circuits = [Circuit(plant_id=f"PLANT{n // 10:03}", circuit_id=f"CIRCUIT{n % 10:02}") for n in range(count)]
    return tuple(
        a_run(circuit, warnings=("the test data is three weeks old",) if n < in_trouble else ())
        for n, circuit in enumerate(circuits)
    )


def sample_pages() -> Mapping[str, str]:
    """Name -> HTML, all of them."""
    approved = a_gate(state=GateState.APPROVED, decisions=(DECISION,))
    testing = a_release(phase=ReleasePhase.TESTING)
    live = a_release(phase=ReleasePhase.SUCCEEDED, ended_at=NOW + timedelta(minutes=9))
    failed = a_release(phase=ReleasePhase.FAILED, reason="PLANT001/CIRCUIT02 failed in Test", ended_at=NOW)
    return {
        "approval-registry": render_approval(an_approval()),
        "approval-production": render_approval(an_approval(GateName.PRODUCTION)),
        "approval-many": render_approval(an_approval(runs=many_runs(200))),
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
        "approval-decided": render_approval(an_approval(state=ApprovalState.DECIDED, gate=approved)),
        "approval-expired": render_approval(an_approval(state=ApprovalState.EXPIRED)),
        "approval-void": render_approval(
            an_approval(
                state=ApprovalState.VOID,
                release=a_release(phase=ReleasePhase.CANCELLED, reason="wrong cutoff date"),
            )
        ),
        "approval-link-void": render_approval(an_approval(state=ApprovalState.LINK_VOID)),
        "release-testing": render_release(
            ReleaseView(release=testing, runs=_in_test(), gates=(approved,), summary="", now=NOW)
        ),
        "release-paused": render_release(
            ReleaseView(release=testing, runs=_in_test(), gates=(approved,), summary="", now=NOW, paused=True)
        ),
        "release-succeeded": render_release(
            ReleaseView(
                release=live,
                runs=three_live(),
                gates=(approved, replace(approved, gate=GateName.PRODUCTION)),
                summary=release_summary(live, three_live(), ESTATE),
                now=NOW,
            )
        ),
        "release-failed": render_release(
            ReleaseView(release=failed, runs=failed_runs(), gates=(approved,), summary="", now=NOW)
        ),
        "rollback": render_release(
            ReleaseView(
                release=_rollback(),
                runs=rolled_back_runs(),
                gates=(),
                summary=release_summary(_rollback(), rolled_back_runs(), ESTATE),
                now=NOW,
            )
        ),
        "releases": render_releases(ReleasesView(releases=_list(), now=NOW, next_cursor="next")),
        "error": render_error(404, "Not found", "There is no such page, or the link is not complete."),
    }


def _rollback() -> Release:
    return a_rollback(phase=ReleasePhase.FAILED, reason="1 of 2 circuits could not be put back")


def _in_test() -> tuple[CircuitRun, ...]:
    phases = (CircuitPhase.TESTED, CircuitPhase.SMOKE_TESTING, CircuitPhase.QUEUED)
    return tuple(
        replace(run, phase=phase, hist=(*run.hist, HistoryEntry(at=NOW, source="promoted", target=phase)))
        for run, phase in zip(three_tested(), phases, strict=True)
    )


def _list() -> tuple[Release, ...]:
    return (
        a_release(release_id="20251210.3", phase=ReleasePhase.TESTING),
        a_release(release_id="20251210.2", phase=ReleasePhase.FAILED, reason="PLANT001/CIRCUIT02: smoke test failed"),
        a_release(phase=ReleasePhase.AWAITING_PRODUCTION_APPROVAL),
        a_release(release_id="20251209.1", phase=ReleasePhase.SUCCEEDED),
        a_release(release_id="20251208.1", phase=ReleasePhase.EXPIRED),
    )


def sample_mails() -> Mapping[str, str]:
    """Name -> the HTML part of each mail."""
    live = a_release(phase=ReleasePhase.SUCCEEDED)
    failed = a_release(phase=ReleasePhase.FAILED, reason="PLANT001/CIRCUIT02 failed in Test")
    production = a_letter(
        runs=three_tested(),
        release=a_release(phase=ReleasePhase.AWAITING_PRODUCTION_APPROVAL),
        gates=(a_gate(GateName.PRODUCTION),),
    )
    letters = {
        "mail-gate-opened": a_letter(),
        "mail-gate-production": production,
        "mail-gate-reminder": a_letter(Moment.GATE_REMINDER),
        "mail-gate-expired": a_letter(Moment.GATE_EXPIRED, release=a_release(phase=ReleasePhase.EXPIRED)),
        "mail-succeeded": a_letter(
            Moment.RELEASE_SUCCEEDED,
            release=live,
            runs=three_live(),
            summary=release_summary(live, three_live(), ESTATE),
        ),
        "mail-failed": a_letter(Moment.RELEASE_FAILED, release=failed, runs=failed_runs()),
        "mail-ended": a_letter(
            Moment.RELEASE_ENDED,
            release=a_release(phase=ReleasePhase.REJECTED, reason="rejected by mona@example.com: cutoff date"),
        ),
        "mail-rollback": a_letter(
            Moment.ROLLBACK_ENDED,
            release=_rollback(),
            runs=rolled_back_runs(),
            gates=(),
            summary=release_summary(_rollback(), rolled_back_runs(), ESTATE),
        ),
        "mail-invalid": a_letter(
            Moment.ARTIFACT_INVALID,
            runs=(),
            gates=(),
            release=a_release(phase=ReleasePhase.INVALID, reason="circuits[0] has no cutoff_date"),
        ),
    }
    return {name: render_mail(letter, ESTATE).html for name, letter in letters.items()}


@contextlib.contextmanager
def page_server(pages: Mapping[str, str]) -> Iterator[str]:
    """Serves the pages under their names, with the headers of the app; gives the base address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.strip("/").split("?")[0]
            if name == "assets/pages.css":
                self._reply(200, STYLESHEET, STYLESHEET_HEADERS)
            elif name in pages:
                # Mails bring their styles along; mail programs apply no policy of ours.
                headers = {"Content-Type": HEADERS["Content-Type"]} if name.startswith("mail-") else HEADERS
                self._reply(200, pages[name].encode(), headers)
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
