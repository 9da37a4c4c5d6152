"""State stores whose operations are as many requests as those of the real ones: a process may die between any two.

`begin`, `finish`, `forget`, `reactivate` and `list_circuits` write rows of several partitions; nothing makes them one.
What a transaction holds (`commit`; a lock with its rows of ledger and holds) is one request there, too.
"""

from collections.abc import Callable, Sequence
from datetime import datetime
from itertools import groupby

from shared.application.ports import ReleaseRow, Versioned
from shared.domain.errors import ConflictError, TransientError
from shared.domain.model import LONG_AGO, Circuit, Release, Slot
from shared.domain.rows import RELEASE_KEY
from tests.simulation.faults import Weather
from tests.support.fakes_state import FakeReleaseStore, FakeSlotStore, as_ended, as_listed

TRIES = 5


class SimReleaseStore(FakeReleaseStore):
    """`ReleaseStore`; a row that was read and is another object now has been written since: its ETag is stale."""

    weather: Weather
    listed_one: Callable[[], None]
    written: Sequence[Callable[[ReleaseRow], None]] = ()
    """Who sees each row as it is written."""

    def _put(self, row: ReleaseRow) -> str:
        for look in self.written:
            look(row)
        return super()._put(row)

    def begin(self, release: Release) -> None:
        known = self._get(release.release_id, RELEASE_KEY)
        if known is None:
            self._list(release)
            self._wrote("begin")
            self._unsettle_row(release, "begin")
            known = self._get(release.release_id, RELEASE_KEY)
            if known is None:
                self._put(release)
                return
            self._list(known.row)
            self._wrote("begin")
        if known.row.manifest_sha256 != release.manifest_sha256:
            raise ConflictError(f"{release.release_id} exists with other content")

    def _list(self, release: Release) -> None:
        listed = self.listed.setdefault(release.release_id, as_listed(release))
        if listed.manifest_sha256 != release.manifest_sha256:
            raise ConflictError(f"{release.release_id} is listed with other content")
        self.listed_one()

    def finish(
        self, release: Release, *, undelivered: tuple[str, ...] = (), given_up_before: datetime = LONG_AGO
    ) -> None:
        indexed = self.index.get(release.release_id)
        self._asks("finish")
        listed = self.listed.get(release.release_id)
        if listed is None or not (listed.gen <= release.gen or listed.listed_at < given_up_before):
            return
        if indexed is None or not indexed.settled or indexed.gen != release.gen:
            self._asks("finish")
            if self.index.get(release.release_id) is not indexed:
                raise ConflictError(f"the index of {release.release_id} is not as it was read")
            self.index[release.release_id] = as_ended(release, undelivered)
            self._wrote("finish")
        self._unlist(release.release_id, listed)

    def _unlist(self, release_id: str, listed: object) -> None:
        held = self.listed.get(release_id)
        if held is not None and held is not listed:
            raise ConflictError(f"{release_id} has been listed again")
        self.listed.pop(release_id, None)

    def forget(self, release_id: str) -> None:
        listed = self.listed.get(release_id)
        self._asks("forget")
        if listed is None or self._get(release_id, RELEASE_KEY) is not None:
            return
        self._asks("forget")
        indexed = self.index.get(release_id)
        if indexed is not None and not indexed.settled:
            del self.index[release_id]
            self._wrote("forget")
        self._unlist(release_id, listed)

    def reactivate(self, release: Release, at: datetime) -> None:
        listed = self.listed.get(release.release_id)
        self._asks("reactivate")
        if self.listed.get(release.release_id) is not listed:
            raise ConflictError(f"{release.release_id} has been listed by somebody else")
        self.listed[release.release_id] = as_listed(release, at)
        self.listed_one()
        self._wrote("reactivate")
        self._unsettle_row(release, "reactivate")

    def _unsettle_row(self, release: Release, method: str) -> None:
        for _ in range(TRIES):
            seen = self.index.get(release.release_id)
            if seen is not None and not seen.settled and seen.gen >= release.gen:
                return
            self._asks(method)
            if self.index.get(release.release_id) is seen:
                self._unsettle(release)
                self._wrote(method)
                return
        raise TransientError(f"others are writing the row of {release.release_id}")

    def list_circuits(self, release: Release, circuits: Sequence[Circuit]) -> None:
        for _, group in groupby(sorted(circuits), key=lambda circuit: circuit.plant_id):
            self.finders[release.release_id] |= set(group)
            self._wrote("list_circuits")

    def _asks(self, method: str) -> None:
        """Another request of the same operation sets out."""
        self.weather.before("releases", method)

    def _wrote(self, method: str) -> None:
        """One of its writes stands, and its answer is on the way."""
        self.weather.after("releases", method, None)
        self.weather.before("releases", method)


class SimSlotStore(FakeSlotStore):
    """`SlotStore`: slots that are missing are made one by one."""

    weather: Weather

    def slots(self, count: int) -> Sequence[Versioned[Slot]]:
        for number in range(count):
            if number not in self.known:
                self.known[number] = Versioned(row=Slot(number=number), etag=self.new_etag())
                self.weather.after("slots", "slots", None)
        return [self.known[number] for number in range(count)]
