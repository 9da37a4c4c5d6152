"""Who asked for a release, how far that is known, and how many must approve because of it. Pure."""

from shared.domain.model import ProcessKind, Release
from shared.domain.people import is_address, same_person


def is_requester(person: str, release: Release) -> bool:
    """Whoever was signed in, and whoever the artifact claims: a build may ask in a person's name."""
    return any(same_person(person, name) for name in (release.requested_by, release.requester_claim))


def is_requester_known(release: Release) -> bool:
    """By sign-in, or by a claim that names a person; a blank or `build pipeline` can be compared with nobody."""
    return release.requester_signed_in or is_address(release.requested_by)


def approvals_needed(release: Release) -> int:
    """Different people who must approve at a gate.

    Where the requester may not decide but is not known, two: at most one of them can be the requester.
    """
    least = release.policy.min_approvers
    return max(least, 2) if not release.policy.requester_may_approve and not is_requester_known(release) else least


def requester_told(release: Release) -> str:
    """For people: a name that nobody has checked is never shown as a fact."""
    if not release.requested_by:
        return "unknown"
    if release.kind is not ProcessKind.RELEASE:
        return release.requested_by  # says itself how it is known
    if not release.requester_signed_in:
        return f"{release.requested_by} (the artifact's claim, not checked)"
    claim = f" (the artifact claims {release.requester_claim})" if release.requester_claim else ""
    return f"{release.requested_by}, signed in{claim}"
