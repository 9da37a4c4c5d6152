"""What can be asked about releases: the read side of the HTTP API and the pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta

from shared.application.checks import Checks, check_json
from shared.application.estimate import expected_end
from shared.application.merged_history import merge_history
from shared.application.notices import is_retried, told
from shared.application.ports import Ports
from shared.application.release_list import listed_releases
from shared.application.rollback_told import ROLLBACK_GOAL, ended_because, is_within_goal, seconds_taken
from shared.application.summary import marks_told, outcome, release_summary
from shared.application.views import ReleaseQuery, ReleasesView, ReleaseView
from shared.domain.errors import RequestRefused
from shared.domain.listing import Listed, Wanted, listed_as
from shared.domain.model import (
    Circuit,
    CircuitRun,
    EndpointLock,
    Environment,
    Gate,
    NoticeState,
    ProcessKind,
    Release,
    ReleasePhase,
)
from shared.domain.naming import timestamp
from shared.domain.process import WAYS_BACK

type Json = Mapping[str, object]

UNDELIVERED_TOLD = timedelta(days=7)
"""How long health speaks of what could not be delivered about a release that has ended."""


@dataclass(frozen=True, slots=True)
class Queries:
    ports: Ports

    def release_view(self, release_id: str) -> ReleaseView:
        """One release with everything a page shows of it.

        Raises:
            RequestRefused: 404, there is none.
        """
        view = self._release_view(release_id)
        return replace(view, expected_end=expected_end(view.release, view.now, self.ports))

    def _release_view(self, release_id: str) -> ReleaseView:
        unknown = f"There is no release {release_id!r}. GET /api/releases lists them."
        return self._view(release_id, ProcessKind.RELEASE, unknown)

    def artifact(self, release_id: str) -> bytes:
        """R10: the artifact that started a release, byte for byte as it came. RequestRefused: 404, there is none."""
        stored = self.ports.releases.release(release_id)
        is_release = stored is not None and stored.row.kind is ProcessKind.RELEASE
        content = self.ports.evidence.get(stored.row.manifest_blob) if stored and is_release else None
        if content is None:
            raise RequestRefused(404, "No such artifact", f"There is no artifact of a release {release_id!r}.")
        return content

    def rollback_view(self, rollback_id: str) -> ReleaseView:
        """One rollback, for its page. RequestRefused: 404, there is none."""
        view = self._view(rollback_id, ProcessKind.ROLLBACK, f"There is no rollback {rollback_id!r}.")
        return replace(view, check=Checks(self.ports).view(view.release))

    def drift_view(self, report_id: str) -> ReleaseView:
        """One report of defaults that were changed outside. RequestRefused: 404, there is none."""
        return self._view(report_id, ProcessKind.DRIFT, f"There is no report {report_id!r}.")

    def _view(self, release_id: str, kind: ProcessKind, unknown: str) -> ReleaseView:
        stored = self.ports.releases.release(release_id)
        if stored is None or stored.row.kind is not kind:
            raise RequestRefused(404, f"No such {kind}", unknown)
        runs = tuple(found.row for found in self.ports.releases.runs(release_id))
        marked = self._marked() if stored.row.is_terminal else ()
        return ReleaseView(
            release=stored.row,
            runs=runs,
            gates=tuple(found.row for found in self.ports.releases.gates(release_id)),
            summary=release_summary(stored.row, runs, self.ports.estate, marked),
            marks=marks_told(marked),
            now=self.ports.clock.now(),
            notices=tuple(found.row for found in self.ports.releases.notices(release_id)),
        )

    def _marked(self) -> Sequence[EndpointLock]:
        return self.ports.endpoints.marked(Environment.PRODUCTION, self.ports.clock.now())

    def release(self, release_id: str) -> Json:
        """`GET /api/releases/{id}`, without an estimate of its end. RequestRefused as above."""
        view = self._release_view(release_id)
        history = merge_history(view.release, view.runs, view.gates)
        return {
            **_head(listed_as(view.release)),
            "warnings": list(view.release.warnings),
            "commit_sha": view.release.commit_sha,
            "requester_signed_in": view.release.requester_signed_in,
            "requester_claim": view.release.requester_claim,
            "exclusions": dict(view.release.exclusions),
            "circuits": [_circuit(run) for run in view.runs],
            "gates": [_gate(gate) for gate in view.gates],
            "history": [
                {"at": timestamp(line.at), "what": line.what, "circuit": line.circuit, "by": line.by, "why": line.why}
                for line in history
            ],
            "undelivered": [
                {"moment": n.moment, "channel": n.channel, "recipient": n.recipient, "error": n.last_error}
                for n in view.notices
                if n.state is NoticeState.UNDELIVERED
            ],
            "summary": view.summary,
        }

    def releases_view(self, asked: ReleaseQuery, *, limit: int, cursor: str) -> ReleasesView:
        """A page of releases, newest first, filtered; the cursor goes on where the page ended.

        Raises:
            RequestRefused: 400, the cursor or a filter is not usable.
        """
        found, following = self._listed(wanted_of(asked), limit, cursor)
        return ReleasesView(releases=found, now=self.ports.clock.now(), asked=asked, next_cursor=following)

    def _listed(self, wanted: Wanted, limit: int, cursor: str) -> tuple[Sequence[Listed], str]:
        try:
            return listed_releases(wanted, self.ports, limit=limit, cursor=cursor)
        except ValueError as error:
            detail = "This cursor is none of ours: give the one that came with the page before, or none."
            raise RequestRefused(400, "Unknown cursor", detail) from error

    def rollbacks(self, asked: ReleaseQuery, *, limit: int = 50, cursor: str = "") -> Json:
        """`GET /api/rollbacks`: from the same index, by days, the newest first; RequestRefused as above."""
        wanted = replace(wanted_of(asked), kind=ProcessKind.ROLLBACK)
        found, following = self._listed(wanted, limit, cursor)
        told = sorted(found, key=lambda listed: listed.created_at, reverse=True)
        return {"rollbacks": [_rollback_head(listed) for listed in told], "cursor": following}

    def releases(self, asked: ReleaseQuery, *, limit: int = 50, cursor: str = "") -> Json:
        """`GET /api/releases`."""
        view = self.releases_view(asked, limit=limit, cursor=cursor)
        told = [{**_head(listed), "rows_removed": listed.rows_gone} for listed in view.releases]
        return {"releases": told, "cursor": view.next_cursor}

    def rollback(self, rollback_id: str) -> Json:
        """`GET /api/rollbacks/{id}`: per circuit from, to, what became of it and in how many seconds (R44).

        Raises:
            RequestRefused: 404, there is none.
        """
        stored = self.ports.releases.release(rollback_id)
        if stored is None or stored.row.kind is not ProcessKind.ROLLBACK:
            raise RequestRefused(404, "No such rollback", f"There is no rollback {rollback_id!r}.")
        rollback = stored.row
        runs = tuple(found.row for found in self.ports.releases.runs(rollback_id))
        ended = rollback.ended_at
        return {
            "rollback_id": rollback_id,
            "environment": rollback.environment,
            "phase": rollback.phase,
            "reason": rollback.reason_asked,
            "outcome": ended_because(rollback, runs),
            "requested_by": rollback.requested_by,
            "requested_at": timestamp(rollback.created_at),
            "ended_at": timestamp(ended) if ended else None,
            "seconds": seconds_taken(rollback, runs),
            "goal_seconds": ROLLBACK_GOAL.total_seconds(),
            "within_goal": is_within_goal(rollback, runs),
            "total": rollback.total,
            "notes": list(rollback.warnings),
            "circuits": [_rolled_back(run, rollback) for run in runs],
            "smoke_test": check_json(Checks(self.ports).view(rollback)),
        }

    def health(self) -> Mapping[str, Sequence[str]]:
        """Trouble people should know of; empty: none. Reads state once, so an unreachable store shows too.

        What could not be delivered about a release that has ended is told for a week.
        """
        releases = self.ports.releases
        active_ids = releases.active_release_ids()
        notices = [stored.row for release_id in active_ids for stored in releases.notices(release_id)]
        active = [(one.release_id, told(one)) for one in notices if one.state is NoticeState.UNDELIVERED]
        retried = [f"{n.release_id}: {told(n)} is tried again: {n.last_error}" for n in notices if is_retried(n)]
        ended = [
            (one.release_id, what)
            for one in releases.undelivered(self.ports.clock.now() - UNDELIVERED_TOLD)
            for what in one.undelivered
        ]
        unique = dict.fromkeys((*active, *ended))
        undelivered = [f"{release_id}: {what} could not be delivered" for release_id, what in unique]
        drift = [f"{lock.circuit}: {lock.drift}" for lock in self._marked() if lock.drift]
        found = {"undelivered": undelivered, "retried": retried, "drift": drift, "stalled": self._stalled(active_ids)}
        return {what: lines for what, lines in found.items() if lines}

    def _stalled(self, active_ids: Sequence[str]) -> Sequence[str]:
        """Ways back that do not go on: production may be half new, half old."""
        rows = [stored.row for each in active_ids if (stored := self.ports.releases.release(each))]
        return [
            f"{row.release_id} is {row.phase} and does not go on, production may be in between: {row.reason}"
            for row in rows
            if row.phase in WAYS_BACK and row.reason
        ]


def wanted_of(asked: ReleaseQuery) -> Wanted:
    """The filters as the index takes them.

    Raises:
        RequestRefused: 400, one of them means nothing.
    """
    if asked.phase and asked.phase not in ReleasePhase:
        raise RequestRefused(400, "Unknown phase", f"{asked.phase[:50]!r} is none of {', '.join(ReleasePhase)}.")
    circuit = circuit_of(asked.circuit) if asked.circuit else None
    if circuit and asked.plant and asked.plant != circuit.plant_id:
        detail = f"{asked.circuit[:201]!r} is no circuit of {asked.plant[:100]!r}: give one of the two."
        raise RequestRefused(400, "Plant and circuit", detail)
    return Wanted(
        phase=ReleasePhase(asked.phase) if asked.phase else None,
        plant_id=circuit.plant_id if circuit else asked.plant,
        circuit_id=circuit.circuit_id if circuit else "",
        since=_date(asked.since, "since"),
        until=_date(asked.until, "until"),
        requested_by=asked.requested_by,
    )


def _date(text: str, name: str) -> date | None:
    if not text:
        return None
    try:
        return date.fromisoformat(text)
    except ValueError as error:
        raise RequestRefused(400, "Not a date", f"{name} must be a date such as 2025-12-10.") from error


def circuit_of(text: str) -> Circuit:
    """`PLANT001/CIRCUIT01` as a circuit.

    Raises:
        RequestRefused: 400, it is not of that form.
    """
    plant_id, slash, circuit_id = text.partition("/")
    if not (plant_id and slash and circuit_id):
        raise RequestRefused(400, "Not a circuit", f"{text!r} must be PLANT/CIRCUIT, for example PLANT001/CIRCUIT01.")
    return Circuit(plant_id=plant_id, circuit_id=circuit_id)


def _head(release: Listed) -> Json:
    return {
        "release_id": release.release_id,
        "build_id": release.build_id,
        "phase": release.phase,
        "reason": release.reason,
        "gen": release.gen,
        "total": release.total,
        "requested_by": release.requested_by,
        "created_at": timestamp(release.created_at),
        "ended_at": timestamp(release.ended_at) if release.ended_at else None,
        "evidence_sha256": release.evidence_sha256,
    }


def _rollback_head(listed: Listed) -> Json:
    return {
        "rollback_id": listed.release_id,
        "phase": listed.phase,
        "outcome": listed.reason,
        "total": listed.total,
        "requested_by": listed.requested_by,
        "requested_at": timestamp(listed.created_at),
        "ended_at": timestamp(listed.ended_at) if listed.ended_at else None,
    }


def _circuit(run: CircuitRun) -> Json:
    return {
        "plant_id": run.circuit.plant_id,
        "circuit_id": run.circuit.circuit_id,
        "phase": run.phase,
        "since": timestamp(run.since),
        "cutoff_date": run.cutoff_date,
        "model": {"name": run.model_name, "version": run.model_version, "source_version": run.source_version},
        "endpoint": run.endpoint,
        "test_endpoint": run.test_endpoint,
        "deployment": run.deployment,
        "previous_deployment": run.previous_deployment,
        "job_name": run.job_name,
        "error": run.error,
        "warnings": list(run.warnings),
        "evidence": run.evidence,
    }


def _rolled_back(run: CircuitRun, rollback: Release) -> Json:
    told = run.evidence.get("rollback")
    seconds = told.get("seconds") if isinstance(told, Mapping) else None
    return {
        "plant_id": run.circuit.plant_id,
        "circuit_id": run.circuit.circuit_id,
        "endpoint": run.endpoint,
        "from": run.leaves,
        "to": run.target,
        "phase": run.phase,
        "seconds": seconds,
        "error": run.error,
        "outcome": outcome(run, rollback),
    }


def _gate(gate: Gate) -> Json:
    return {
        "gate": gate.gate,
        "state": gate.state,
        "opened_at": timestamp(gate.opened_at),
        "expires_at": timestamp(gate.expires_at),
        "digest": gate.digest,
        "decisions": [
            {
                "at": timestamp(vote.at),
                "decision": vote.decision,
                "by": vote.by,
                "how": vote.how,
                "comment": vote.comment,
                "digest": vote.digest,
                "exclude": dict(vote.exclude),
            }
            for vote in gate.decisions
        ],
    }
