"""I8: what the lists show of a release that is over is what its own row says, and it is found by all its circuits."""

from shared.domain.model import CircuitRun, ProcessKind, Release
from tests.simulation.invariants.seen import Check


class Listing(Check):
    """The index is written beside the rows, in requests of its own: whatever dies in between, it agrees in the end."""

    def at_rest(self) -> None:
        for stored in list(self.seen.processes()):
            if stored.row.is_terminal and stored.row.release_id not in self.seen.releases.listed:
                self._shows(stored.row)
            if stored.row.kind is ProcessKind.RELEASE:
                self._finds(stored.row)

    def _shows(self, release: Release) -> None:
        listed = self.seen.releases.index.get(release.release_id)
        shown = (listed.settled, listed.gen, listed.phase) if listed else None
        if shown != (True, release.gen, release.phase):
            self.fail(
                "I8",
                f"{release.release_id} is {release.phase} in gen {release.gen}, and lists show {shown or 'nothing'}",
            )

    def _finds(self, release: Release) -> None:
        rows = {stored.row.circuit for stored in self.seen.releases._of(CircuitRun, release.release_id)}
        if lost := rows - self.seen.releases.finders[release.release_id]:
            self.fail("index", f"{release.release_id} is not found by {', '.join(sorted(map(str, lost)))}")
