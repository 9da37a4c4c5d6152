"""How people decide on this stack: by the links in their mails, or signed in (`APPROVALS=entra make up`)."""

import os
from collections.abc import Mapping, Sequence
from enum import StrEnum

from local.stack.files import read_json, write_json
from local.stack.places import Places

ADA, GRACE, OPERATOR = "ada@example.org", "grace@example.org", "ops@example.org"
PEOPLE: Sequence[Mapping[str, object]] = (
    {"Name": ADA, "Roles": ["ReleaseApprover", "ReleaseReader"]},
    {"Name": GRACE, "Roles": ["ReleaseApprover", "ReleaseReader"]},
    {"Name": OPERATOR, "Roles": ["ReleaseOperator", "ReleaseReader"]},
    {"Name": "rita@example.org", "Roles": ["ReleaseReader"]},
    {"Name": "visitor@example.org", "Roles": []},
)
"""Who can sign in: two approvers, an operator, a reader, and somebody who was given no role."""


class Approvals(StrEnum):
    """The values of APPROVALS, which are those of the app's setting APPROVAL_MODE."""

    LINK = "link"
    ENTRA = "entra"


def approvals_asked() -> Approvals | None:
    """What the variable APPROVALS says; None: nothing."""
    text = os.environ.get("APPROVALS", "")
    if text and text not in Approvals:
        raise SystemExit(f"APPROVALS is {text!r}: give {' or '.join(Approvals)}.")
    return Approvals(text) if text else None


def keep(places: Places, approvals: Approvals) -> None:
    """For every process that writes the app's settings while this stack is up."""
    write_json(places.approvals, {"approvals": approvals})


def kept(places: Places) -> Approvals:
    """How this stack was started."""
    return Approvals((read_json(places.approvals) or {}).get("approvals", Approvals.LINK))


def mode_values(approvals: Approvals) -> dict[str, str]:
    """The app's settings for it."""
    if approvals is Approvals.ENTRA:
        return {"APPROVAL_MODE": "entra", "ALLOW_LINK_APPROVALS": "false"}
    return {"APPROVAL_MODE": "link", "ALLOW_LINK_APPROVALS": "true"}


def host_section(approvals: Approvals) -> dict[str, object]:
    """What the Functions host is told beside the app's settings: who can sign in."""
    return {"Host": {"EasyAuth": {"People": list(PEOPLE)}}} if approvals is Approvals.ENTRA else {}
