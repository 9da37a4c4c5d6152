"""Port: what is kept as it was, and what builds upload."""

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Protocol

ARTIFACT_NAME = "changed_circuits.json"
MOST_ARTIFACT_BYTES = 10 * 1024 * 1024


class EvidenceStore(Protocol):
    """Blobs that are never overwritten, and the artifacts that builds upload."""

    def put(self, path: str, content: bytes) -> None:
        """Write once; the same path with the same content again is fine.

        Raises:
            ConflictError: the path holds other content.
        """

    def get(self, path: str) -> bytes | None: ...

    def remove(self, prefix: str, *, before: str = "", limit: int) -> int:
        """Delete blobs whose path starts so, and lies before `before` if that is given; how many, at most `limit`."""

    def artifact(self, path: str) -> bytes | None:
        """A blob of the artifact container; of one that is too big, MOST_ARTIFACT_BYTES + 1 bytes."""

    def artifact_metadata(self, path: str) -> Mapping[str, str]:
        """What its uploader noted beside it (the last place a release_id is looked for)."""

    def artifact_paths(self, since: datetime) -> Sequence[str]:
        """Blobs named changed_circuits.json uploaded since then."""
