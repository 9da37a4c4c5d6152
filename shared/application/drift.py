"""Use cases: defaults that were changed outside this app - found, told once, then put right or accepted by an operator.

Production only: Test is where people may try things, and the next release puts its default right. What is found is
first written into the lock row, under the ETag it was compared with: what a release or a rollback moves meanwhile is
never taken for somebody's change. The report to people follows from the row, so that a crash tells nothing twice.
"""

import hashlib
from dataclasses import dataclass, replace

from shared.application import notices
from shared.application.convergence import Converged, converge
from shared.application.differences import AS_LEFT, Difference, on_deployment, on_endpoint
from shared.application.dispatcher import Dispatcher
from shared.application.locks import ACCEPTED, ledger_entry
from shared.application.ports import Endpoint, Ports, ProvisioningState, Versioned
from shared.application.rollback_records import keep_record_of_accepted
from shared.application.settle import settle
from shared.domain.commands import LookForDrift, Tell
from shared.domain.errors import ConflictError, PermanentError, RequestRefused, TransientError
from shared.domain.model import (
    Circuit,
    EndpointLock,
    Environment,
    HistoryEntry,
    Moment,
    NoticeState,
    ProcessKind,
    Release,
    ReleasePhase,
)
from shared.domain.naming import DRIFT_PREFIX, endpoint_name
from shared.domain.rows import lock_key
from shared.telemetry import log

PRODUCTION = Environment.PRODUCTION
PAGE = 50
"""Endpoints per message: each costs some four requests."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """One lock row, its endpoint, and how they differ."""

    stored: Versioned[EndpointLock]
    endpoint: Endpoint | None
    difference: Difference


@dataclass(frozen=True, slots=True)
class Drift:
    ports: Ports

    # ------------------------------------------------------------------------------------------- looking

    def look(self) -> None:
        """Begin to compare every endpoint of ours with what it should be."""
        self.ports.bus.send((LookForDrift(n=int(self.ports.clock.now().timestamp())),))

    def handle(self, command: LookForDrift) -> None:
        """Compare a page of endpoints, tell people of what they do not know yet, ask for the next page. Repeatable."""
        page = self.ports.endpoints.all_locks(PRODUCTION, after=command.cursor, limit=PAGE)
        for stored in page:
            self._look_at(stored)
        log.info("endpoints compared", action="drift_compared", count=len(page))
        if len(page) == PAGE:
            self.ports.bus.send((LookForDrift(n=command.n, cursor=lock_key(page[-1].row.circuit)),))

    def _look_at(self, stored: Versioned[EndpointLock]) -> None:
        """What can't be looked at now is left to the next look."""
        circuit, fresh = stored.row.circuit, [stored]

        def attempt() -> EndpointLock | None:
            now = fresh.pop() if fresh else self.ports.endpoints.lock(PRODUCTION, circuit)
            return self._noted(now) if now else None

        try:
            told_of = settle(self.ports.clock, attempt)
        except (TransientError, PermanentError) as error:
            log.warning("endpoint not compared", action="drift_not_compared", circuit=circuit, error=error)
            return
        if told_of:
            self._tell(told_of)

    def _noted(self, stored: Versioned[EndpointLock]) -> EndpointLock | None:
        """The row that says what is other than it should be; None: people need not be told of anything.

        Raises:
            ConflictError: somebody wrote the row meanwhile, so nothing is known.
        """
        lock = stored.row
        seen = None if lock.repair_by else self._compare(stored)
        if seen is None:
            return None
        found = seen.difference
        if found.words != lock.drift:
            since = lock.drift_since or self.ports.clock.now()
            lock = replace(lock, drift=found.words, drift_since=since) if found.words else _without_drift(lock)
            self.ports.endpoints.write_lock(lock, etag=stored.etag)
        return lock if found.words and not found.is_ours else None

    def _compare(self, stored: Versioned[EndpointLock]) -> Seen | None:
        """None: nothing can be said now - nothing is wanted, or somebody is at work."""
        lock = stored.row
        if not (lock.want or lock.want_none) or self._is_busy(lock):
            return None
        name = self._endpoint_name(lock.circuit)
        endpoint = self.ports.models.endpoint(PRODUCTION, name)
        if endpoint is not None and endpoint.state is ProvisioningState.RUNNING:
            return None
        found = on_endpoint(lock, endpoint, self.ports)
        if found is AS_LEFT:
            found = on_deployment(lock, name, self.ports)
        return Seen(stored=stored, endpoint=endpoint, difference=found)

    def _is_busy(self, lock: EndpointLock) -> bool:
        """A release or a rollback that has not ended may be switching this endpoint right now."""
        owner = self.ports.releases.release(lock.owner)
        return owner is not None and not owner.row.is_terminal

    def _endpoint_name(self, circuit: Circuit) -> str:
        return endpoint_name(self.ports.naming.production_endpoint, circuit)

    # ------------------------------------------------------------------------------------------- telling

    def _tell(self, lock: EndpointLock) -> None:
        """Once for each finding: the report's id follows from the row, and a crash on the way is made good later."""
        digest = hashlib.sha256(f"{lock.circuit}|{lock.drift_since}|{lock.drift}".encode()).hexdigest()
        report_id = f"{DRIFT_PREFIX}{digest[:16]}"
        releases = self.ports.releases
        known = releases.release(report_id)
        written = releases.notices(report_id) if known else ()
        if written and not any(stored.row.state is NoticeState.PENDING for stored in written):
            return
        report = known.row if known else self._report(report_id, digest, f"{lock.circuit}: {lock.drift}")
        releases.begin(report)
        rows = notices.notices_for(report, Moment.DRIFT_FOUND, self.ports.audience, report.created_at)
        try:
            if not written:
                releases.commit(*notices.inserts(rows))
        except ConflictError:
            return
        if known:
            # Without its messages it looked as if it were over: the sweeper may have taken it off its list.
            releases.reactivate(report, self.ports.clock.now())
        log.error("a default was changed outside", action="drift_found", release_id=report_id, circuit=lock.circuit)
        Dispatcher(self.ports).send(report, (Tell(moment=Moment.DRIFT_FOUND),))

    def _report(self, report_id: str, digest: str, said: str) -> Release:
        now = self.ports.clock.now()
        reason = f"changed outside this app: {said}"[:500]
        return Release(
            release_id=report_id,
            build_id="",
            phase=ReleasePhase.FAILED,
            kind=ProcessKind.DRIFT,
            seq=int(f"{now:%Y%m%d}000000"),
            total=1,
            manifest_sha256=digest,
            manifest_blob="",
            policy=self.ports.policy,
            created_at=now,
            ended_at=now,
            reason=reason,
            warnings=(said,),
            hist=(HistoryEntry(at=now, source="", target=ReleasePhase.FAILED, why=reason),),
        )

    # ----------------------------------------------------------------------------------- repair and accept

    def repair(self, circuit: Circuit, *, by: str, why: str) -> EndpointLock:
        """Begin to make the wanted deployment the default again; `follow_up` sees it through.

        Raises:
            RequestRefused: 404 unknown circuit, 409 nothing has drifted, nothing that a switch of the default heals,
                or somebody is at work there.
        """
        seen = self._drifted(circuit)
        if not seen.difference.is_repairable:
            raise _other_way(circuit, seen.difference, "A switch of the default does not heal that")
        now = self.ports.clock.now()
        words = f"{seen.difference.words}; to be put right: {why}"
        lock = replace(seen.stored.row, drift=words, drift_since=seen.stored.row.drift_since or now, repair_by=by)
        self.ports.endpoints.write_lock(lock, etag=seen.stored.etag)
        log.info("drift is being put right", action="drift_repair", circuit=circuit, by=by)
        self._put_right(lock)
        return lock

    def accept(self, circuit: Circuit, *, by: str, why: str, live: str | None = None) -> EndpointLock:
        """What is live becomes what is wanted, with a ledger row of its own, so that a rollback finds the way back.

        `live` is what the operator believes to accept; None: whatever is live.

        Raises:
            RequestRefused: 404 unknown circuit, 409 nothing has drifted, nothing that can be kept, something else is
                live than the operator saw, or somebody is at work there.
        """
        seen = self._drifted(circuit)
        default = seen.endpoint.default if seen.endpoint else ""
        if not seen.difference.is_acceptable:
            raise _other_way(circuit, seen.difference, "It can't be kept as it is")
        if live is not None and live != default:
            detail = f"{circuit}: {default or 'no default'} is live, not {live or 'none'}. Look again, then decide."
            raise RequestRefused(409, "Outdated", detail)
        before = seen.stored.row
        wants_none = seen.endpoint is not None and not default
        lock = _without_drift(replace(before, want=default, want_none=wants_none, fence=before.fence + 1))
        entry = ledger_entry(self.ports, lock, previous=before.want, release_id=ACCEPTED, by=f"{by}: {why}"[:500])
        self.ports.endpoints.write_lock(lock, etag=seen.stored.etag, ledger=entry)
        keep_record_of_accepted(circuit, default, why=f"accepted: {why}", by=by, ports=self.ports)
        log.info("drift accepted", action="drift_accepted", circuit=circuit, by=by, deployment=default)
        return lock

    def follow_up(self) -> None:
        """See repairs through: a switch takes longer than a request may."""
        for lock in self.ports.endpoints.marked(PRODUCTION, self.ports.clock.now()):
            if lock.repair_by:
                self._put_right(lock)

    def _drifted(self, circuit: Circuit) -> Seen:
        stored = self.ports.endpoints.lock(PRODUCTION, circuit)
        if stored is None:
            raise RequestRefused(404, "Unknown circuit", f"{circuit} has never been activated by this app.")
        seen = self._compare(stored)
        if seen is None:
            detail = (
                f"{circuit}: {stored.row.owner} is at work there, or the endpoint is just being changed; look again."
            )
            raise RequestRefused(409, "Busy", detail)
        if not seen.difference.words:
            detail = (
                f"{circuit}: {stored.row.want or 'no default'} is live, as it should be. There is nothing to decide."
            )
            raise RequestRefused(409, "No drift", detail)
        return seen

    def _put_right(self, lock: EndpointLock) -> None:
        try:
            reached = converge(PRODUCTION, lock.circuit, self._endpoint_name(lock.circuit), self.ports)
            if isinstance(reached, Converged):
                settle(self.ports.clock, lambda: self._repaired(lock.circuit))
                return
        except (TransientError, PermanentError) as error:
            log.warning("drift not put right yet", action="drift_repair_failed", circuit=lock.circuit, error=error)
        if moved := settle(self.ports.clock, lambda: self._marked_again(lock)):
            self._put_right(moved)

    def _marked_again(self, lock: EndpointLock) -> EndpointLock | None:
        """Somebody wanted something else meanwhile, and our switch may land after theirs: the repair goes on for it."""
        stored = self.ports.endpoints.lock(PRODUCTION, lock.circuit)
        if stored is None or stored.row.fence == lock.fence:
            return None
        since = stored.row.drift_since or self.ports.clock.now()
        row = replace(stored.row, drift=stored.row.drift or lock.drift, drift_since=since, repair_by=lock.repair_by)
        self.ports.endpoints.write_lock(row, etag=stored.etag)
        return row

    def _repaired(self, circuit: Circuit) -> None:
        """The mark goes if nothing else is other than it should be; if something is, that stays to be decided."""
        stored = self.ports.endpoints.lock(PRODUCTION, circuit)
        if stored is None or not stored.row.repair_by:
            return
        seen = self._compare(stored)
        if seen is None:
            return  # somebody is at work: the next follow-up looks again
        put_right = _without_drift(stored.row)
        row = replace(put_right, drift=seen.difference.words, drift_since=stored.row.drift_since)
        self.ports.endpoints.write_lock(row if row.drift else put_right, etag=stored.etag)
        log.info("drift put right", action="drift_repaired", circuit=circuit, rest=row.drift)


def _other_way(circuit: Circuit, found: Difference, why: str) -> RequestRefused:
    return RequestRefused(409, "Another way is needed", f"{circuit}: {found.words}. {why}: {found.ways(circuit)}.")


def _without_drift(lock: EndpointLock) -> EndpointLock:
    """Of one whose want was just read as the default."""
    return replace(lock, drift="", drift_since=None, repair_by="", leaves="")
