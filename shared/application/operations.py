"""What operators may ask of a release by HTTP: retry and cancel."""

from collections.abc import Mapping
from dataclasses import dataclass, replace

from shared.application.dispatcher import Dispatcher
from shared.application.ports import Ports
from shared.application.queries import circuit_of
from shared.domain.errors import IllegalTransition, RequestRefused
from shared.domain.events import CancelRequested, ReleaseEvent, RetryRequested
from shared.domain.model import Release, ReleasePhase


@dataclass(frozen=True, slots=True)
class Operations:
    ports: Ports

    def retry(self, release_id: str, *, by: str, reason: str, exclude: Mapping[str, str]) -> Release:
        """Resume a failed or expired release, leaving circuits out where asked (R58).

        Raises:
            RequestRefused: 404 no such release, 409 it can't be retried now, 422 an excluded circuit is not in it.
        """
        release = self._release(release_id)
        if release.phase not in {ReleasePhase.FAILED, ReleasePhase.EXPIRED}:
            raise _refused(release, "only failed or expired releases can be retried")
        for name in exclude:
            if self.ports.releases.release_and_run(release_id, circuit_of(name)) is None:
                detail = f"{name} is not part of release {release_id}, so it can't be left out."
                raise RequestRefused(422, "Unknown circuit", detail)
        # With the gen it is about to have: a late end of the try before can't take it off the list again.
        now = self.ports.clock.now()
        self.ports.releases.reactivate(replace(release, gen=release.gen + 1), now)
        return self._apply(release, RetryRequested(at=now, by=by, why=reason, exclusions=exclude))

    def cancel(self, release_id: str, *, by: str, reason: str) -> Release:
        """Stop a release before it activates anything; a running round ends first.

        Raises:
            RequestRefused: 404 no such release, 409 it is too late.
        """
        release = self._release(release_id)
        if release.is_terminal:
            raise _refused(release, "it has ended")
        if release.cancel_requested_by:
            raise _refused(release, f"{release.cancel_requested_by} has cancelled it; it ends with the running round")
        if release.phase in {ReleasePhase.ACTIVATING, ReleasePhase.REVERTING}:
            raise _refused(release, "production is being switched; let it end, then roll back")
        return self._apply(release, CancelRequested(at=self.ports.clock.now(), by=by, why=reason))

    def _release(self, release_id: str) -> Release:
        stored = self.ports.releases.release(release_id)
        if stored is None:
            raise _unknown(release_id)
        return stored.row

    def _apply(self, release: Release, event: ReleaseEvent) -> Release:
        try:
            moved = Dispatcher(self.ports).to_release(release.release_id, event)
        except IllegalTransition as reason:
            raise _refused(release, str(reason)) from reason
        if moved is None:
            raise _unknown(release.release_id)
        return moved


def _unknown(release_id: str) -> RequestRefused:
    return RequestRefused(404, "No such release", f"There is no release {release_id!r}.")


def _refused(release: Release, why: str) -> RequestRefused:
    detail = f"Release {release.release_id} is {release.phase}: {why}."
    return RequestRefused(409, "Not possible in this phase", detail)
