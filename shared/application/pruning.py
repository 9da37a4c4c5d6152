"""Use cases: after a release has succeeded, what its circuits no longer need is deleted (D4). Never a reason to fail.

Deleted is only what a release of ours made live once, beyond the newest few of an endpoint. What is live, what a
rollback would go back to, and what still runs a job stays, in Test as well: the next release is laid beside it.
"""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.application.ports import Ports
from shared.domain.commands import Prune
from shared.domain.errors import InvalidManifest, PermanentError, TransientError
from shared.domain.model import (
    Circuit,
    CircuitPhase,
    CircuitRun,
    EndpointLock,
    Environment,
    LedgerEntry,
    ProcessKind,
    Release,
    ReleasePhase,
)
from shared.domain.naming import deployment_name, release_seq
from shared.domain.rows import run_key
from shared.telemetry import log

PAGE = 20
"""Circuits per message: each costs some ten requests."""


@dataclass(frozen=True, slots=True)
class Pruning:
    ports: Ports

    def handle(self, command: Prune) -> None:
        """Prune a page of the release's circuits and ask for the next one. Repeatable."""
        stored = self.ports.releases.release(command.release_id)
        if stored is None or not _has_succeeded(stored.row):
            log.info("pruning dropped", action="prune_dropped", release_id=command.release_id)
            return
        page = self.ports.releases.runs(command.release_id, after=command.cursor, limit=PAGE)
        for run in page:
            if run.row.phase is CircuitPhase.LIVE:
                self._circuit(stored.row, run.row)
        if len(page) == PAGE:
            cursor = run_key(page[-1].row.circuit)
            self.ports.bus.send((Prune(release_id=command.release_id, cursor=cursor),))

    def _circuit(self, release: Release, run: CircuitRun) -> None:
        """What can't be deleted now is left to the next release."""
        try:
            locks = self._locks(run.circuit)
            needed = self._needed(locks)
            for lock in locks:
                # Otherwise a newer release or a rollback is at work: it may need what looks old from here.
                if lock.owner == release.release_id:
                    self._endpoint(release, run, lock.environment, needed, locks)
        except (TransientError, PermanentError) as error:
            log.warning(
                "not pruned", action="prune_failed", release_id=run.release_id, circuit=run.circuit, error=error
            )

    def _locks(self, circuit: Circuit) -> tuple[EndpointLock, ...]:
        found = [self.ports.endpoints.lock(environment, circuit) for environment in Environment]
        return tuple(stored.row for stored in found if stored is not None)

    def _needed(self, locks: Sequence[EndpointLock]) -> frozenset[str]:
        """Live or previous, in either environment."""
        needed: set[str] = set()
        for lock in locks:
            needed |= {lock.want, *_previous(lock, self.ports.endpoints.ledger(lock.environment, lock.circuit))}
        return frozenset(needed)

    def _endpoint(
        self,
        release: Release,
        run: CircuitRun,
        environment: Environment,
        needed: frozenset[str],
        locks: Sequence[EndpointLock],
    ) -> None:
        name = run.test_endpoint if environment is Environment.TEST else run.endpoint
        endpoint = self.ports.models.endpoint(environment, name)
        if endpoint is None:
            return
        there = self.ports.models.deployment_names(environment, name)
        ours = [d for d in _ours(self.ports.endpoints.ledger(environment, run.circuit)) if d in there]
        for deployment in ours[release.policy.deployments_kept :]:
            if deployment in needed | {endpoint.default, run.deployment, run.previous_deployment}:
                continue
            if self.ports.models.has_running_jobs(environment, name, deployment):
                continue
            if _fences(self._locks(run.circuit)) != _fences(locks):
                return  # what is needed was read before a rollback or a release came in between
            log.info(
                "pruning",
                action="pruning",
                release_id=run.release_id,
                circuit=run.circuit,
                environment=environment,
                deployment=deployment,
            )
            self.ports.models.delete_deployment(environment, name, deployment)


def _has_succeeded(release: Release) -> bool:
    return release.kind is ProcessKind.RELEASE and release.phase is ReleasePhase.SUCCEEDED


def _fences(locks: Sequence[EndpointLock]) -> tuple[int, ...]:
    return tuple(lock.fence for lock in locks)


def _previous(lock: EndpointLock, ledger: Sequence[LedgerEntry]) -> tuple[str, ...]:
    """What any activation of the live deployment replaced: a rollback may go there."""
    return tuple(row.previous for row in ledger if row.deployment == lock.want)


def _ours(ledger: Sequence[LedgerEntry]) -> list[str]:
    """Deployments that our releases made live, the newest activation first; imported ones are not ours to delete."""
    return list(dict.fromkeys(row.deployment for row in ledger if _is_of_release(row)))


def _is_of_release(row: LedgerEntry) -> bool:
    try:
        release_seq(row.release_id)
    except InvalidManifest:
        return False
    return row.deployment == deployment_name(row.release_id)
