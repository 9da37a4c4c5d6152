"""Use cases: defaults that were changed outside this app - found, told once, then put right or accepted by an operator.

Production only: Test is where people may try things, and the next release puts its default right.
"""

import hashlib
from collections.abc import Sequence
from dataclasses import dataclass, replace

from shared.application import notices
from shared.application.dispatcher import Dispatcher
from shared.application.endpoints import Converged, converge
from shared.application.locks import ACCEPTED, drift_told, ledger_entry
from shared.application.ports import Ports, ProvisioningState, Versioned
from shared.application.rollback_records import keep_record_of_accepted
from shared.application.settle import settle
from shared.domain.commands import Tell
from shared.domain.errors import ConflictError, PermanentError, RequestRefused, TransientError
from shared.domain.model import (
    Circuit,
    EndpointLock,
    Environment,
    HistoryEntry,
    LedgerEntry,
    Moment,
    ProcessKind,
    Release,
    ReleasePhase,
)
from shared.domain.naming import DRIFT_PREFIX, deployment_name, endpoint_name
from shared.telemetry import log

PRODUCTION = Environment.PRODUCTION


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """One lock row and what is other than it should be on its endpoint; empty words: nothing."""

    stored: Versioned[EndpointLock]
    words: str


@dataclass(frozen=True, slots=True)
class Drift:
    ports: Ports

    def look(self) -> None:
        """Compare every endpoint of ours with what it should be; tell people of what they do not know yet."""
        found = [seen for stored in self.ports.endpoints.all_locks(PRODUCTION) if (seen := self._look_at(stored))]
        fresh = [seen for seen in found if seen.words and seen.words != seen.stored.row.drift]
        if fresh:
            self._tell(fresh)
        for seen in found:
            if seen.words != seen.stored.row.drift:
                self._note(seen)

    def repair(self, circuit: Circuit, *, by: str, why: str) -> EndpointLock:
        """Begin to make the wanted deployment the default again; `follow_up` sees it through.

        Raises:
            RequestRefused: 404 unknown circuit, 409 nothing has drifted or somebody is at work there.
        """
        seen = self._drifted(circuit)
        now = self.ports.clock.now()
        words = f"{seen.words}; to be put right: {why}"
        lock = replace(seen.stored.row, drift=words, drift_since=seen.stored.row.drift_since or now, repair_by=by)
        self.ports.endpoints.write_lock(lock, etag=seen.stored.etag)
        log.info("drift is being put right", action="drift_repair", circuit=circuit, by=by)
        self._put_right(lock)
        return lock

    def accept(self, circuit: Circuit, *, by: str, why: str) -> EndpointLock:
        """What is live becomes what is wanted, with a ledger row of its own, so that a rollback finds the way back.

        Raises:
            RequestRefused: as above.
        """
        seen = self._drifted(circuit)
        before = seen.stored.row
        endpoint = self.ports.models.endpoint(PRODUCTION, self._endpoint_name(circuit))
        live = endpoint.default if endpoint else ""
        lock = _without_drift(replace(before, want=live, want_none=bool(endpoint) and not live, fence=before.fence + 1))
        entry = ledger_entry(self.ports, lock, previous=before.want, release_id=ACCEPTED, by=f"{by}: {why}"[:500])
        self.ports.endpoints.write_lock(lock, etag=seen.stored.etag, ledger=entry)
        keep_record_of_accepted(circuit, live, why=f"accepted: {why}", by=by, ports=self.ports)
        log.info("drift accepted", action="drift_accepted", circuit=circuit, by=by, deployment=live)
        return lock

    def follow_up(self) -> None:
        """See repairs through: a switch takes longer than a request may."""
        for lock in self.ports.endpoints.marked(PRODUCTION, self.ports.clock.now()):
            if lock.repair_by:
                self._put_right(lock)

    # ------------------------------------------------------------------------------------------- looking

    def _look_at(self, stored: Versioned[EndpointLock]) -> Found | None:
        """None: nothing can be said now - nothing is wanted, somebody is at work, or the service does not answer."""
        if stored.row.repair_by:
            return None
        try:
            words = self._compare(stored.row)
        except (TransientError, PermanentError) as error:
            log.warning("endpoint not compared", action="drift_not_compared", circuit=stored.row.circuit, error=error)
            return None
        return None if words is None else Found(stored=stored, words=words)

    def _compare(self, lock: EndpointLock) -> str | None:
        if not (lock.want or lock.want_none) or self._is_busy(lock):
            return None
        endpoint = self.ports.models.endpoint(PRODUCTION, self._endpoint_name(lock.circuit))
        if endpoint is not None and endpoint.state is ProvisioningState.RUNNING:
            return None
        return drift_told(lock, endpoint) or self._deployment_told(lock, self._endpoint_name(lock.circuit))

    def _is_busy(self, lock: EndpointLock) -> bool:
        """A release or a rollback that has not ended may be switching this endpoint right now."""
        owner = self.ports.releases.release(lock.owner)
        return owner is not None and not owner.row.is_terminal

    def _deployment_told(self, lock: EndpointLock, name: str) -> str:
        """The right name may hide another deployment: its tags are compared with the ledger."""
        if not lock.want:
            return ""
        ledger = self.ports.endpoints.ledger(PRODUCTION, lock.circuit)
        owner = _maker(ledger, lock.want)
        if not owner:
            return ""
        deployment = self.ports.models.deployment(PRODUCTION, name, lock.want)
        tag = deployment.tags.get("release_id", "") if deployment else ""
        if tag == owner:
            return ""
        return f"{lock.want} on {name} is tagged for release {tag or '(none)'}, {owner} made it live"

    def _endpoint_name(self, circuit: Circuit) -> str:
        return endpoint_name(self.ports.naming.production_endpoint, circuit)

    # ------------------------------------------------------------------------------------------- telling

    def _tell(self, fresh: Sequence[Found]) -> None:
        """One message for all that is new. Its id follows from the rows as read, so a crash tells nothing twice."""
        about = sorted(f"{seen.stored.row.circuit}|{seen.stored.etag}|{seen.words}" for seen in fresh)
        digest = hashlib.sha256("\n".join(about).encode()).hexdigest()
        now = self.ports.clock.now()
        said = tuple(f"{seen.stored.row.circuit}: {seen.words}" for seen in fresh)
        reason = f"changed outside this app: {'; '.join(said)}"[:500]
        report = Release(
            release_id=f"{DRIFT_PREFIX}{digest[:16]}",
            build_id="",
            phase=ReleasePhase.FAILED,
            kind=ProcessKind.DRIFT,
            seq=int(f"{now:%Y%m%d}000000"),
            total=len(fresh),
            manifest_sha256=digest,
            manifest_blob="",
            policy=self.ports.policy,
            created_at=now,
            ended_at=now,
            reason=reason,
            warnings=said,
            hist=(HistoryEntry(at=now, source="", target=ReleasePhase.FAILED, why=reason),),
        )
        known = self.ports.releases.release(report.release_id)
        report = known.row if known else report
        self.ports.releases.begin(report)
        rows = notices.notices_for(report, Moment.DRIFT_FOUND, self.ports.audience, report.created_at)
        try:
            self.ports.releases.commit(*notices.inserts(rows))
        except ConflictError:
            return
        log.error("defaults were changed outside", action="drift_found", release_id=report.release_id, count=len(fresh))
        Dispatcher(self.ports).send(report, (Tell(moment=Moment.DRIFT_FOUND),))

    def _note(self, seen: Found) -> None:
        lock = seen.stored.row
        since = (lock.drift_since or self.ports.clock.now()) if seen.words else None
        row = replace(lock, drift=seen.words, drift_since=since)
        try:
            self.ports.endpoints.write_lock(row, etag=seen.stored.etag)
        except ConflictError:
            log.info("somebody else is at work", action="drift_skipped", circuit=lock.circuit)

    # ----------------------------------------------------------------------------------- repair and accept

    def _drifted(self, circuit: Circuit) -> Found:
        stored = self.ports.endpoints.lock(PRODUCTION, circuit)
        if stored is None:
            raise RequestRefused(404, "Unknown circuit", f"{circuit} has never been activated by this app.")
        words = self._compare(stored.row)
        if words is None:
            detail = (
                f"{circuit}: {stored.row.owner} is at work there, or the endpoint is just being changed; look again."
            )
            raise RequestRefused(409, "Busy", detail)
        if not words:
            detail = (
                f"{circuit}: {stored.row.want or 'no default'} is live, as it should be. There is nothing to decide."
            )
            raise RequestRefused(409, "No drift", detail)
        return Found(stored=stored, words=words)

    def _put_right(self, lock: EndpointLock) -> None:
        try:
            reached = converge(PRODUCTION, lock.circuit, self._endpoint_name(lock.circuit), self.ports)
        except (TransientError, PermanentError) as error:
            log.warning("drift not put right yet", action="drift_repair_failed", circuit=lock.circuit, error=error)
            reached = None
        if isinstance(reached, Converged):
            settle(self.ports.clock, lambda: self._repaired(lock.circuit))
        elif moved := settle(self.ports.clock, lambda: self._marked_again(lock)):
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
        stored = self.ports.endpoints.lock(PRODUCTION, circuit)
        if stored is not None and stored.row.drift:
            self.ports.endpoints.write_lock(_without_drift(stored.row), etag=stored.etag)
            log.info("drift put right", action="drift_repaired", circuit=circuit)


def _maker(ledger: Sequence[LedgerEntry], deployment: str) -> str:
    """The release whose tag the deployment must carry; empty: it came from elsewhere, or an operator accepted it."""
    if any((row.deployment, row.release_id) == (deployment, ACCEPTED) for row in ledger):
        return ""
    return next((r.release_id for r in ledger if deployment == r.deployment == deployment_name(r.release_id)), "")


def _without_drift(lock: EndpointLock) -> EndpointLock:
    """Of one whose want was just read as the default."""
    return replace(lock, drift="", drift_since=None, repair_by="", leaves="")
