"""Use cases: who is written to at which moment.

In a release that is decided in time an approver gets three mails: gate 1 asks, gate 2 asks and says who decided gate 1,
the last one says how it ended and who decided both. What is decided goes at once to everybody else: operators, whoever
asked for the release, the channel. Decided in time means: before the reminder is due, which goes to those only who have
not answered yet. A rejection is the release's last mail and goes to approvers as well.
"""

import re
from collections.abc import Sequence

from shared.application.ports import Audience
from shared.domain.model import Moment, Release, ReleasePhase

ADDRESS = re.compile(r"[^\s@,;<>\"]+@([^\s@,;<>\"]+)")


def people(release: Release, moment: Moment, audience: Audience) -> Sequence[str]:
    """Mail addresses, each once."""
    match moment:
        case Moment.ARTIFACT_INVALID | Moment.DRIFT_FOUND | Moment.WAY_BACK_STALLED | Moment.GATE_OUT_OF_REACH:
            return _each_once(audience.operators)
        case Moment.GATE_OPENED | Moment.GATE_REMINDER:
            return _each_once(audience.approvers)
        case Moment.GATE_DECIDED:
            return _told_of_decision(release, audience)
        case _:
            return _each_once((*audience.approvers, *audience.operators))


def _told_of_decision(release: Release, audience: Audience) -> Sequence[str]:
    """An approver who is an operator or has asked for the release as well reads of an approval in the next mail."""
    everybody = _each_once((*audience.approvers, *audience.operators, *_requester(release, audience)))
    if release.phase is ReleasePhase.REJECTED:
        return everybody
    approvers = {person.casefold() for person in audience.approvers}
    return tuple(person for person in everybody if person.casefold() not in approvers)


def _requester(release: Release, audience: Audience) -> Sequence[str]:
    """Only at a domain of the people in the settings: an artifact may claim anything, and strangers get no mail."""
    domains = {person.rpartition("@")[2].casefold() for person in (*audience.approvers, *audience.operators)}
    claimed = release.requested_by.strip()
    address = ADDRESS.fullmatch(claimed)
    return (claimed,) if address and address[1].casefold() in domains else ()


def _each_once(some: Sequence[str]) -> Sequence[str]:
    unique: dict[str, str] = {}
    for person in some:
        unique.setdefault(person.casefold(), person)
    return tuple(unique.values())
