"""The checks of a run, seen from its ports: before and after every write."""

from collections.abc import Callable
from typing import Any

from shared.domain.naming import deployment_name
from shared.domain.rows import row_key
from tests.simulation.faults import Watch
from tests.simulation.invariants.azure_ml import AzureMlWrites
from tests.simulation.invariants.drift import DriftTold
from tests.simulation.invariants.driven import Driven
from tests.simulation.invariants.locks import Locks
from tests.simulation.invariants.rest import AtRest
from tests.simulation.invariants.rows import Rows
from tests.simulation.invariants.seen import Seen
from tests.simulation.invariants.slots import SmokeSlots


class Invariants(Watch):
    """Looks at every write; whatever does not hold raises `Violation` with its number."""

    def __init__(self, seen: Seen) -> None:
        self.seen = seen
        self.smoke_slots, self.drift_told, self.driven = SmokeSlots(seen), DriftTold(seen), Driven(seen)
        self.azure_ml = AzureMlWrites(seen, self.drift_told)
        self.locks = Locks(seen, self.drift_told)
        self.rows = Rows(seen, self.smoke_slots, self.azure_ml)
        self.rest = AtRest(seen, self.drift_told, self.azure_ml)

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
                self.rows.committed(args, seen)
                if len(args) == 1:
                    row = args[0].row
                    etag = result[0]
                    return lambda: self.seen.releases.rows[row.release_id][row_key(row)].etag != etag
            case "write_lock":
                self.locks.locked(args[0], named.get("ledger"), seen.row if seen else None)
                place, etag = (args[0].environment, args[0].circuit), result
                return (lambda: self.seen.endpoints.locks[place].etag != etag) if not named.get("ledger") else None
            case "begin":
                release = args[0]
                self.seen.engine.note(f"begin {release.release_id}")
                self.seen.release_of.setdefault(deployment_name(release.release_id), release.release_id)
            case "deliver":
                self.drift_told.told(args[0])
            case _ if service == "models":
                self.azure_ml.wrote(name, args, named)
        return None
