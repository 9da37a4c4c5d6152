"""Use cases: can the people in the settings still approve, and if not, why and what an operator does about it. Pure."""

from collections.abc import Sequence
from dataclasses import dataclass

from shared.application.codes import MOST_WRONG_CODES
from shared.application.gate_texts import who_must_approve
from shared.application.ports import Ports
from shared.application.votes import approvers as voters
from shared.application.votes import vote_of
from shared.domain.model import Gate, Release
from shared.domain.people import person_key
from shared.domain.requester import approvals_needed, is_requester


@dataclass(frozen=True, slots=True, kw_only=True)
class OutOfReach:
    """Fewer people than must can still approve, or have."""

    needed: int
    able: int
    barred: Sequence[str]
    """They asked for the release."""
    void: Sequence[str] = ()
    """Five wrong codes were entered with their links."""


def out_of_reach(release: Release, people: Sequence[str], gate: Gate | None = None) -> OutOfReach | None:
    """None: these people, from the settings, can approve, or nobody is known. Without `gate`: at a gate that nobody has answered."""
    barred = {person_key(name) for name in people if is_requester(name, release)}
    out = set() if release.policy.requester_may_approve else set(barred)
    void = [name for name, tries in gate.wrong_codes.items() if tries >= MOST_WRONG_CODES] if gate else []
    void = [name for name in void if gate and not vote_of(name, gate)]
    out |= {person_key(name) for name in void}
    able = ({person_key(name) for name in people} - out) | (voters(gate) if gate else set())
    needed = approvals_needed(release)
    if not people or len(able) >= needed:
        return None
    return OutOfReach(needed=needed, able=len(able), barred=sorted(barred), void=sorted(void))


def too_few(release: Release, people: Sequence[str]) -> str:
    """Why the approvers we know of can't approve this release, as a warning from its start; empty: they can."""
    found = out_of_reach(release, people)
    if found is None:
        return ""
    return (
        f"its gates can't be approved by the people in APPROVERS: {found.needed} must, and only {found.able} may "
        f"({', '.join(found.barred) or 'nobody'} asked for it). An operator can add an approver, or cancel it so that "
        "somebody else asks for it"
    )


def told_to_operators(release: Release, gate: Gate, ports: Ports) -> tuple[str, str]:
    """Why an open gate can't be approved, and what to do; both empty: it can."""
    people = ports.audience.approvers
    found = out_of_reach(release, people, gate)
    return (_why(found, release, people), _way_out(found, gate, ports.audience.signs_in)) if found else ("", "")


def _why(found: OutOfReach, release: Release, people: Sequence[str]) -> str:
    must = "1 person" if found.needed == 1 else f"{found.needed} people"
    able = f"only {found.able} can" if found.able else "nobody can"
    told = [f"{must} must approve, and of those in APPROVERS ({', '.join(people)}) {able}."]
    if rule := who_must_approve(release):
        told.append(rule)
    if found.void:
        told.append(f"After {MOST_WRONG_CODES} wrong codes the link of {', '.join(found.void)} is void.")
    return " ".join(told)


def _way_out(found: OutOfReach, gate: Gate, signs_in: bool) -> str:
    calls = f"POST /api/releases/{gate.release_id}"
    mails = f"{calls}/gates/{gate.gate}/notices"
    if found.void:
        return (
            f"ask {', '.join(found.void)} whether they entered these codes (if not, somebody else reads that mailbox), then "
            f"{mails}, which mails new links."
        )
    role = " who has the role ReleaseApprover" if signs_in else ""
    return (
        f"add somebody{role} to APPROVERS, then {mails}, which mails them a link; or {calls}/cancel, and let somebody "
        "else ask for it."
    )
