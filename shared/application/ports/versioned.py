"""A row as a store has read it."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, kw_only=True)
class Versioned[Row]:
    """A row as it was read, with the ETag a conditional write needs."""

    row: Row
    etag: str
