"""Local stack, Functions host: blob path patterns such as `build-artifacts/{name}`."""

import re
from collections.abc import Mapping

PLACEHOLDER = re.compile(r"\{(\w+)\}")


class BlobPath:
    """Matches blobs of one container; a placeholder may span slashes, as in the real host."""

    def __init__(self, pattern: str) -> None:
        self.container, _, blob = pattern.partition("/")
        expression, end = "", 0
        for found in PLACEHOLDER.finditer(blob):
            expression += re.escape(blob[end : found.start()]) + f"(?P<{found[1]}>.*)"
            end = found.end()
        # A path of a container alone means every blob in it.
        self._blob = re.compile(expression + re.escape(blob[end:]) if blob else ".*", re.DOTALL)

    def match(self, container: str, blob: str) -> Mapping[str, str] | None:
        """The placeholders' values, or None for a blob that is not meant."""
        found = self._blob.fullmatch(blob)
        return found.groupdict() if found and container == self.container else None
