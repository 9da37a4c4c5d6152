"""Who stands at a gate, by link or by sign-in, and what they sent."""

from dataclasses import dataclass, replace
from io import BytesIO
from urllib.parse import quote

import azure.functions as func
from pydantic import BaseModel, ConfigDict, Field
from werkzeug.exceptions import HTTPException
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_cookie

from shared.application.ports import GateClaim
from shared.bootstrap import ports, settings
from shared.domain.errors import RequestRefused
from shared.triggers.http import is_json
from shared.triggers.identity import APPROVER, principal
from shared.triggers.sign_in import SignInNeeded
from shared.triggers.words import Words

COOKIE = "gate"
FORM = "application/x-www-form-urlencoded"
LONGEST_FORM = 512_000
MOST_FIELDS = 6_000
"""The page has a field for each circuit that may be left out, and a release may have five thousand."""


class AnswerBody(BaseModel):
    """An answer as JSON or as form fields."""

    model_config = ConfigDict(extra="ignore")
    decision: str = Field("", max_length=20)
    comment: Words = Field("", max_length=10_000)
    digest: str = Field("", max_length=100)
    csrf: str = Field("", max_length=200)
    code: str = Field("", max_length=20)
    exclude: dict[str, Words] = Field(default_factory=dict, max_length=5000)


@dataclass(frozen=True, slots=True, kw_only=True)
class Visitor:
    """Who stands at the gate, by link or by sign-in."""

    claim: GateClaim
    by: str
    how: str
    needs_code: bool


def claim_of(req: func.HttpRequest) -> GateClaim:
    """What the link says. RequestRefused: 404, it is none of ours."""
    claim = ports().tokens.read(req.route_params.get("token", ""))
    if claim is None:
        detail = "This link is broken, too old or not one of ours. Open the newest mail about the release again."
        raise RequestRefused(404, "Link not valid", detail)
    return claim


def visitor_of(req: func.HttpRequest, claim: GateClaim) -> Visitor:
    """Who has come by this link.

    Raises:
        SignInNeeded: entra mode, and nobody is signed in.
        RequestRefused: 403, they are no approver.
    """
    if settings().approval_mode == "link":
        if claim.recipient not in settings().approvers:
            detail = f"{claim.recipient} is no longer among the approvers, so this link decides nothing."
            raise RequestRefused(403, "Not an approver", detail)
        return Visitor(claim=claim, by=claim.recipient, how=f"by the link sent to {claim.recipient}", needs_code=True)
    who = principal(req, auth_enabled=settings().website_auth_enabled)
    if who is None:
        raise SignInNeeded
    if APPROVER not in who.roles:
        detail = f"{who.name} needs the role {APPROVER} to decide at a gate. To sign in as somebody else: /.auth/logout"
        raise RequestRefused(403, "Role missing", detail)
    # Whoever the link was sent to, the form belongs to the person who is signed in.
    return Visitor(claim=replace(claim, recipient=who.name), by=who.name, how="signed in", needs_code=False)


def gate_address(req: func.HttpRequest) -> str:
    """The path of the page this request is about."""
    return f"/approvals/{quote(req.route_params.get('token', ''), safe='')}"


def cookie_of(req: func.HttpRequest) -> str:
    value = parse_cookie(req.headers.get("cookie", "")).get(COOKIE) or ""
    return value if len(value) <= 100 else ""


def read_answer(req: func.HttpRequest) -> AnswerBody:
    raw = req.get_body()
    if len(raw) > LONGEST_FORM:
        raise RequestRefused(413, "Too large", f"The answer has {len(raw)} bytes; {LONGEST_FORM} are read.")
    if is_json(req):
        return AnswerBody.model_validate_json(raw)
    if req.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise RequestRefused(415, "Unreadable answer", f"Send {FORM} or application/json.")
    try:
        _, form, _ = FormDataParser(silent=False, max_form_parts=MOST_FIELDS).parse(BytesIO(raw), FORM, len(raw))
    except (HTTPException, ValueError) as error:
        raise RequestRefused(400, "Unreadable form", "Send the form of the approval page.") from error
    fields = {name: form[name] for name in form if name != "exclude" and not name.startswith("exclude:")}
    exclude = {name.removeprefix("exclude:"): form[name] for name in form if name.startswith("exclude:") and form[name]}
    return AnswerBody.model_validate({**fields, "exclude": exclude})
