"""What several rows speak of."""

from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum

LONG_AGO = datetime(1970, 1, 1, tzinfo=UTC)


class Environment(StrEnum):
    """Where endpoints live; the Registry is shared and has none."""

    TEST = "test"
    PRODUCTION = "production"


@dataclass(frozen=True, slots=True, kw_only=True, order=True)
class Circuit:
    """A (plant_id, circuit_id) pair, ids as the build wrote them."""

    plant_id: str
    circuit_id: str

    def __str__(self) -> str:
        return f"{self.plant_id}/{self.circuit_id}"


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryEntry:
    """One transition of one row; written in the same write as the state it explains."""

    at: datetime
    source: str
    target: str
    why: str = ""
    by: str = ""
