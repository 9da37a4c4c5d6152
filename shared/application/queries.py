"""What can be asked about releases: the read side of the HTTP API and the pages."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from shared.application.estimate import expected_end
from shared.application.ports import Ports
from shared.application.summary import ROLLBACK_GOAL, marks_told, merge_history, release_summary, seconds_taken
from shared.application.views import ReleasesView, ReleaseView
from shared.domain.errors import RequestRefused
from shared.domain.model import Circuit, CircuitRun, EndpointLock, Environment, Gate, NoticeState, ProcessKind, Release
from shared.domain.naming import timestamp

type Json = Mapping[str, object]


@dataclass(frozen=True, slots=True)
class Queries:
    ports: Ports

    def release_view(self, release_id: str) -> ReleaseView:
        """One release with everything a page shows of it.

        Raises:
            RequestRefused: 404, there is none.
        """
        unknown = f"There is no release {release_id!r}. GET /api/releases lists them."
        view = self._view(release_id, ProcessKind.RELEASE, unknown)
        return replace(view, expected_end=expected_end(view.release, view.now, self.ports))

    def rollback_view(self, rollback_id: str) -> ReleaseView:
        """One rollback, for its page. RequestRefused: 404, there is none."""
        return self._view(rollback_id, ProcessKind.ROLLBACK, f"There is no rollback {rollback_id!r}.")

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
        """`GET /api/releases/{id}`. RequestRefused as above."""
        view = self.release_view(release_id)
        history = merge_history(view.release, view.runs, view.gates)
        return {
            **_head(view.release),
            "warnings": list(view.release.warnings),
            "commit_sha": view.release.commit_sha,
            "requested_by": view.release.requested_by,
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

    def releases_view(self, *, phase: str, circuit: str, limit: int, cursor: str) -> ReleasesView:
        """A page of releases, newest first, filtered; the cursor goes on where the page ended.

        Raises:
            RequestRefused: 400, the cursor or the circuit is not usable.
        """
        try:
            found, following = self.ports.releases.recent(limit=limit, cursor=cursor)
        except ValueError as error:
            detail = "This cursor is none of ours: give the one that came with the page before, or none."
            raise RequestRefused(400, "Unknown cursor", detail) from error
        releases = (r for r in found if r.kind is ProcessKind.RELEASE)
        chosen = tuple(r for r in releases if not phase or r.phase == phase)
        if circuit:
            wanted = circuit_of(circuit)
            chosen = tuple(r for r in chosen if self.ports.releases.release_and_run(r.release_id, wanted))
        return ReleasesView(
            releases=chosen, now=self.ports.clock.now(), phase=phase, circuit=circuit, next_cursor=following
        )

    def releases(self, *, phase: str = "", circuit: str = "", limit: int = 50, cursor: str = "") -> Json:
        """`GET /api/releases`."""
        view = self.releases_view(phase=phase, circuit=circuit, limit=limit, cursor=cursor)
        return {"releases": [_head(release) for release in view.releases], "cursor": view.next_cursor}

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
            "outcome": rollback.reason,
            "requested_by": rollback.requested_by,
            "requested_at": timestamp(rollback.created_at),
            "ended_at": timestamp(ended) if ended else None,
            "seconds": seconds_taken(rollback) if ended else None,
            "goal_seconds": ROLLBACK_GOAL.total_seconds(),
            "within_goal": seconds_taken(rollback) <= ROLLBACK_GOAL.total_seconds() if ended else None,
            "total": rollback.total,
            "notes": list(rollback.warnings),
            "circuits": [_rolled_back(run) for run in runs],
        }

    def circuit(self, circuit: Circuit) -> Json:
        """`GET /api/circuits/{plant}/{circuit}`: what has been live since when, in both environments."""
        return {
            "plant_id": circuit.plant_id,
            "circuit_id": circuit.circuit_id,
            **{str(environment): self._endpoint(environment, circuit) for environment in Environment},
        }

    def _endpoint(self, environment: Environment, circuit: Circuit) -> Json:
        stored = self.ports.endpoints.lock(environment, circuit)
        return {
            "want": stored.row.want if stored else "",
            "owner": stored.row.owner if stored else "",
            "hold": self._hold(stored.row) if stored else None,
            "drift": _drift(stored.row) if stored else None,
            "ledger": [
                {
                    "deployment": entry.deployment,
                    "previous": entry.previous,
                    "release_id": entry.release_id,
                    "activated_at": timestamp(entry.activated_at),
                    "by": entry.by,
                }
                for entry in self.ports.endpoints.ledger(environment, circuit)
            ],
        }

    def _hold(self, lock: EndpointLock) -> Json | None:
        if lock.hold_until is None or not lock.is_held(self.ports.clock.now()):
            return None
        since = timestamp(lock.hold_since) if lock.hold_since else None
        return {"since": since, "until": timestamp(lock.hold_until), "by": lock.hold_by, "reason": lock.hold_why}

    def health(self) -> Mapping[str, Sequence[str]]:
        """Trouble people should know of; empty: none. Reads state once, so an unreachable store shows too."""
        undelivered = [
            f"{release_id}: {stored.row.channel} to {stored.row.recipient} could not be delivered"
            for release_id in self.ports.releases.active_release_ids()
            for stored in self.ports.releases.notices(release_id)
            if stored.row.state is NoticeState.UNDELIVERED
        ]
        drift = [f"{lock.circuit}: {lock.drift}" for lock in self._marked() if lock.drift]
        found = {"undelivered": undelivered, "drift": drift}
        return {what: lines for what, lines in found.items() if lines}


def _drift(lock: EndpointLock) -> Json | None:
    if not lock.drift:
        return None
    since = timestamp(lock.drift_since) if lock.drift_since else None
    return {"since": since, "what": lock.drift, "repair_by": lock.repair_by}


def circuit_of(text: str) -> Circuit:
    """`PLANT001/CIRCUIT01` as a circuit.

    Raises:
        RequestRefused: 400, it is not of that form.
    """
    plant_id, slash, circuit_id = text.partition("/")
    if not (plant_id and slash and circuit_id):
        raise RequestRefused(400, "Not a circuit", f"{text!r} must be PLANT/CIRCUIT, for example PLANT001/CIRCUIT01.")
    return Circuit(plant_id=plant_id, circuit_id=circuit_id)


def _head(release: Release) -> Json:
    return {
        "release_id": release.release_id,
        "build_id": release.build_id,
        "phase": release.phase,
        "reason": release.reason,
        "gen": release.gen,
        "total": release.total,
        "created_at": timestamp(release.created_at),
        "ended_at": timestamp(release.ended_at) if release.ended_at else None,
        "evidence_sha256": release.evidence_sha256,
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


def _rolled_back(run: CircuitRun) -> Json:
    told = run.evidence.get("rollback")
    seconds = told.get("seconds") if isinstance(told, Mapping) else None
    return {
        "plant_id": run.circuit.plant_id,
        "circuit_id": run.circuit.circuit_id,
        "endpoint": run.endpoint,
        "from": run.deployment,
        "to": run.previous_deployment,
        "phase": run.phase,
        "seconds": seconds,
        "error": run.error,
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
            }
            for vote in gate.decisions
        ],
    }
