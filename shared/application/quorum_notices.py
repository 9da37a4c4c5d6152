"""Telling operators that those who may approve at an open gate are too few: once in an opening, with what made it so."""

from datetime import datetime

from shared.application.notices import notices_for
from shared.application.ports import Audience, Ports
from shared.application.quorum import out_of_reach
from shared.domain.model import Gate, Moment, Notice, Release
from shared.domain.rows import notice_key


def at_opening(release: Release, audience: Audience, at: datetime) -> tuple[Notice, ...]:
    """For a gate that opens, in the transaction that opens it; empty: there are enough."""
    if out_of_reach(release, audience.approvers) is None:
        return ()
    return notices_for(release, Moment.GATE_OUT_OF_REACH, audience, at)


def at_void_link(release: Release, before: Gate, gate: Gate, ports: Ports) -> tuple[Notice, ...]:
    """For a link that has just become void, in the write that says so; empty: there are enough, or were too few before."""
    people = ports.audience.approvers
    if out_of_reach(release, people, gate) is None or out_of_reach(release, people, before) is not None:
        return ()
    rows = notices_for(release, Moment.GATE_OUT_OF_REACH, ports.audience, ports.clock.now(), asks=gate)
    # With an approver added since it was told, it may be a second time that they are too few.
    return tuple(row for row in rows if ports.releases.notice(row.release_id, notice_key(row)) is None)
