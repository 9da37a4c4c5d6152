"""The checks of a run, seen from its ports: before and after every write."""

from collections.abc import Callable
from typing import Any

from shared.application.gate_texts import Estate
from shared.domain.model import CircuitRun, EndpointLock, Environment, Gate, LedgerEntry, Release
from shared.domain.naming import deployment_name
from shared.domain.rows import row_key
from tests.simulation.faults import Watch
from tests.simulation.invariants.activations import Activations
from tests.simulation.invariants.azure_ml import AzureMlWrites
from tests.simulation.invariants.decisions import Decisions
from tests.simulation.invariants.drift import DriftTold
from tests.simulation.invariants.driven import Driven
from tests.simulation.invariants.gates import GateEvidence
from tests.simulation.invariants.limits import Limits
from tests.simulation.invariants.locks import Locks
from tests.simulation.invariants.rest import AtRest
from tests.simulation.invariants.rows import Rows
from tests.simulation.invariants.seen import Seen
from tests.simulation.invariants.slots import SmokeSlots
from tests.simulation.invariants.smoke_tests import SmokeTests
from tests.simulation.invariants.ways_back import WaysBack
from tests.simulation.invariants.work import BoundedWork
from tests.support.fakes_state import FakeEvidenceStore


class Invariants(Watch):
    """Looks at every write; whatever does not hold raises `Violation` with its number."""

    def __init__(self, seen: Seen, evidence: FakeEvidenceStore, estate: Estate) -> None:
        self.seen = seen
        self.smoke_slots, self.drift_told, self.driven = SmokeSlots(seen), DriftTold(seen), Driven(seen)
        self.azure_ml = AzureMlWrites(seen, self.drift_told)
        self.locks = Locks(seen, self.drift_told)
        self.rows = Rows(seen, self.smoke_slots, self.azure_ml)
        self.rest = AtRest(seen, self.drift_told, self.azure_ml)
        self.limits, self.work, self.smoke_tests = Limits(seen), BoundedWork(seen), SmokeTests(seen)
        self.decisions, self.ways_back = Decisions(seen), WaysBack(seen)
        self.activations, self.gates = Activations(seen), GateEvidence(seen, evidence, estate)

    def before(self, service: str, name: str, args: Any, named: Any) -> Any:
        match name:
            case "commit":
                return [self.seen.releases.rows[c.row.release_id].get(row_key(c.row)) for c in args]
            case "write_lock":
                return self.seen.endpoints.locks.get((args[0].environment, args[0].circuit))
            case _:
                return None

    def after(  # noqa: PLR0917  # one call, seen from both sides
        self, service: str, name: str, args: Any, named: Any, seen: Any, result: Any
    ) -> Callable[[], bool] | None:
        if service in {"releases", "endpoints", "slots"} and name not in {"finish", "forget"}:
            self.seen.changed()
        match name:
            case "commit":
                self._committed(args, seen)
                if len(args) == 1:
                    row = args[0].row
                    etag = result[0]
                    return lambda: self.seen.releases.rows[row.release_id][row_key(row)].etag != etag
            case "write_lock":
                self._locked(args[0], named.get("ledger"), seen.row if seen else None)
                place, etag = (args[0].environment, args[0].circuit), result
                return (lambda: self.seen.endpoints.locks[place].etag != etag) if not named.get("ledger") else None
            case "write_slot":
                self.driven.slot_written(args[0])
            case "send":
                self.driven.sent(args[0])
            case "begin":
                self._began(args[0])
            case "deliver":
                self.drift_told.told(args[0])
                self.work.told(args[0])
            case _ if service == "models":
                self._changed_azure_ml(name, args, named)
        return None

    def _committed(self, changes: Any, before: Any) -> None:
        self.rows.committed(changes, before)
        for change, stored in zip(changes, before, strict=True):
            old = stored.row if stored else None
            self.work.written(old, change.row)
            match change.row:
                case CircuitRun() as run:
                    self._moved(old, run)
                case Gate() as gate:
                    self.gates.written(old, gate)
                    if old is not None:
                        self.decisions.moved_gate(old, gate)
                case Release() as release if old is not None:
                    self.decisions.moved_release(old, release)
                case _:
                    pass

    def _moved(self, old: CircuitRun | None, new: CircuitRun) -> None:
        self.limits.moved(old, new)
        self.decisions.moved_run(new)
        self.ways_back.moved_run(new)
        if old is not None:
            self.smoke_tests.moved(old, new)
            self.activations.moved(old, new)
            self.driven.moved(old, new)

    def _locked(self, new: EndpointLock, entry: LedgerEntry | None, old: EndpointLock | None) -> None:
        self.locks.locked(new, entry, old)
        if old is not None:
            self.activations.wanted(new, old, entry)

    def _began(self, release: Release) -> None:
        self.seen.engine.note(f"begin {release.release_id}")
        self.seen.release_of.setdefault(deployment_name(release.release_id), release.release_id)

    def _changed_azure_ml(self, name: str, args: Any, named: Any) -> None:
        self.azure_ml.wrote(name, args, named)
        if name == "set_default" and args[0] is Environment.PRODUCTION:
            self.activations.switched(args[1], args[2])
