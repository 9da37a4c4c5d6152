"""Who is asking: Easy Auth's principal, where Easy Auth is on. Without it the header is anybody's to forge."""

import base64
import binascii
import json
from dataclasses import dataclass

import azure.functions as func

from shared.domain.errors import RequestRefused
from shared.domain.people import same_person

APPROVER, OPERATOR, READER = "ReleaseApprover", "ReleaseOperator", "ReleaseReader"
PRINCIPAL_HEADER = "x-ms-client-principal"
LONGEST_HEADER = 64_000


@dataclass(frozen=True, slots=True, kw_only=True)
class Principal:
    name: str
    roles: frozenset[str]


def principal(request: func.HttpRequest, *, auth_enabled: bool) -> Principal | None:
    """The signed-in person, or None."""
    header = request.headers.get(PRINCIPAL_HEADER, "")
    if not auth_enabled or not header or len(header) > LONGEST_HEADER:
        return None
    try:
        said = json.loads(base64.b64decode(header, validate=True))
        claims = [(str(c["typ"]), str(c["val"])) for c in said["claims"]]
        name_type, role_type = str(said.get("name_typ", "")), str(said.get("role_typ", "roles"))
    except (binascii.Error, ValueError, KeyError, TypeError, AttributeError):
        return None
    kinds = {role_type, "roles"}
    by_type = dict(reversed(claims))
    # The display name, claim `name`, may be anybody's; the sign-in name belongs to one person.
    name = by_type.get("preferred_username") or by_type.get(name_type if name_type != "name" else "") or ""
    return Principal(name=name, roles=frozenset(value for kind, value in claims if kind in kinds)) if name else None


def caller(request: func.HttpRequest, *, auth_enabled: bool, role: str) -> str:
    """Who calls with the Functions key, by sign-in; empty: Easy Auth is off, so nobody can be known.

    Raises:
        RequestRefused: 403, Easy Auth is on and the caller lacks the role.
    """
    if not auth_enabled:
        return ""
    who = principal(request, auth_enabled=True)
    if who is None or role not in who.roles:
        raise RequestRefused(403, "Role missing", f"This needs a signed-in caller with the role {role}.")
    return who.name


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What the history says of a call: by whom, and why."""

    by: str
    reason: str


def asked(signed_in: str, *, claimed: str, reason: str) -> Asked:
    """A key identifies nobody, so a name with it is a claim; beside somebody signed in it stands with the reason."""
    if not signed_in:
        by = f"function key, claims to be {claimed}" if claimed else "function key, gave no name"
        return Asked(by=by, reason=reason)
    if not claimed or same_person(signed_in, claimed):
        return Asked(by=signed_in, reason=reason)
    return Asked(by=signed_in, reason=f"(claims to be {claimed}) {reason}")
