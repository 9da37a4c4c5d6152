"""Use cases: when a release will probably be through, by what the last successful one took."""

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from itertools import pairwise

from shared.application.ports import Ports
from shared.application.release_list import listed_releases
from shared.domain.listing import Wanted
from shared.domain.model import Release, ReleasePhase

R = ReleasePhase
WORK: Sequence[ReleasePhase] = (R.INSPECTING, R.PROMOTING, R.TESTING, R.STAGING_PRODUCTION, R.ACTIVATING)
GATES = {R.AWAITING_REGISTRY_APPROVAL: R.PROMOTING, R.AWAITING_PRODUCTION_APPROVAL: R.STAGING_PRODUCTION}
MOST_LOOKED_AT = 20


def phase_durations(release: Release) -> Mapping[ReleasePhase, timedelta]:
    """How long the release was in each phase it has left; what it went through twice counts together."""
    found: dict[ReleasePhase, timedelta] = {}
    for entered, left in pairwise(release.hist):
        if entered.target in ReleasePhase:
            phase = ReleasePhase(entered.target)
            found[phase] = found.get(phase, timedelta()) + (left.at - entered.at)
    return found


def expected_end(release: Release, now: datetime, ports: Ports) -> datetime | None:
    """As long as the last successful release took from here; a gate still to come counts as answered at once.

    None: it has ended, is being put back, or nothing has succeeded yet.
    """
    if release.phase not in {*WORK, *GATES}:
        return None
    succeeded, _ = listed_releases(Wanted(phase=R.SUCCEEDED), ports, limit=MOST_LOOKED_AT)
    pattern = ports.releases.release(succeeded[0].release_id) if succeeded else None
    if pattern is None:
        return None
    took = phase_durations(pattern.row)
    here = GATES.get(release.phase, release.phase)
    left = sum((took.get(phase, timedelta()) for phase in WORK[WORK.index(here) :]), timedelta())
    so_far = now - release.hist[-1].at if release.phase in WORK and release.hist else timedelta()
    spent = min(so_far, took.get(here, timedelta()))
    return now + left - spent
