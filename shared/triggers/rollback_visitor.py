"""Who stands at the rollback page, what it is about, and what they sent."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from io import BytesIO
from urllib.parse import quote

import azure.functions as func
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException
from werkzeug.formparser import FormDataParser
from werkzeug.http import parse_cookie

from shared.application.ports import RollbackClaim
from shared.application.queries import circuit_of
from shared.application.rollback_affected import newer_on
from shared.application.rollbacks import RollbackRequest
from shared.bootstrap import ports, settings
from shared.domain.errors import RequestRefused
from shared.domain.model import Circuit, Environment
from shared.domain.words import clean
from shared.triggers.identity import OPERATOR, Principal, principal
from shared.triggers.reader import reader_of
from shared.triggers.sign_in import SignInNeeded

COOKIE = "rollback"
FORM = "application/x-www-form-urlencoded"
LONGEST_FORM = 512_000


@dataclass(frozen=True, slots=True, kw_only=True)
class RollbackVisitor:
    """Who looks, and whether they may confirm; `claim` binds form and code to the person."""

    request: RollbackRequest
    """What the page is about; nothing chosen yet."""
    about: str
    person: str = ""
    how: str = ""
    claim: RollbackClaim | None = None
    """None: a reader, who may look but not confirm."""
    needs_code: bool = False
    view_token: str = ""
    """A reader's own; it is carried on, for a fresh one would outlive it."""
    link: str = ""
    """The personal one; of a newer release it opens the circuits that both have, until that has a mail of its own."""
    limits: str = ""
    """What of the release it does not open; empty: it opens all of it."""


def visitor_of(req: func.HttpRequest) -> RollbackVisitor:
    """By a personal link, by sign-in, or - to look only - by the release page's link.

    Raises:
        SignInNeeded: entra mode, and nobody is signed in.
        RequestRefused: 403, 404.
    """
    visitor = _visitor_of(req)
    return replace(visitor, request=replace(visitor.request, environment=_environment(req)))


def _environment(req: func.HttpRequest) -> Environment:
    named = req.params.get("environment", "") or Environment.PRODUCTION
    if named not in Environment:
        raise RequestRefused(400, "Which environment?", f"environment must be one of {', '.join(Environment)}.")
    return Environment(named)


def _visitor_of(req: func.HttpRequest) -> RollbackVisitor:
    claim = ports().tokens.read_rollback(req.params.get("link", ""))
    reader = reader_of(req)
    viewed = reader.claim.release_id if reader.claim else ""
    if settings().approval_mode == "link":
        asked = req.params.get("release", "")
        about = (reader.has_link_to_all and asked) or viewed
        visitor = replace(_by_link(claim, about, reader.token), link=req.params.get("link", ""))
        return _about_newer(visitor, asked) if claim and asked not in {"", claim.release_id} else visitor
    who = principal(req, auth_enabled=settings().website_auth_enabled)
    if who is None:
        raise SignInNeeded
    return _signed_in(req, who, req.params.get("release", "") or (claim.release_id if claim else viewed))


def _about_newer(visitor: RollbackVisitor, release_id: str) -> RollbackVisitor:
    """The way back from a release that is at work on the link's own circuits: until it has ended nobody has a mail of it."""
    own = visitor.request.release_id
    newer = newer_on(own, release_id, ports())
    if newer is None:
        detail = f"Release {release_id!r} is not newer than the one of this link on any of its circuits."
        raise RequestRefused(403, "Not what this link opens", detail)
    if not newer.is_at_work:
        detail = (
            f"This link is about release {own}. Release {release_id} has ended: the way back from it is the link “Roll "
            "back” in the mail about how it ended, or POST /api/rollbacks."
        )
        raise RequestRefused(403, "Not what this link opens", detail)
    limits = (
        f"This link is about release {own}: of release {release_id} it opens the circuits that both have. For others of it, "
        "use the mail about the release before on those circuits, or POST /api/rollbacks."
    )
    request = replace(_asked(release_id=release_id), within=tuple(newer.circuits))
    return replace(visitor, request=request, about=f"release {release_id}", limits=limits)


def _by_link(claim: RollbackClaim | None, viewed: str, token: str) -> RollbackVisitor:
    if claim is None and not viewed:
        detail = "This link is broken, too old or not one of ours. Open the newest mail about the release again."
        raise RequestRefused(404, "Link not valid", detail)
    if claim is None:
        return RollbackVisitor(request=_asked(release_id=viewed), about=f"release {viewed}", view_token=token)
    if claim.recipient not in {*settings().operators, *settings().approvers}:
        detail = f"{claim.recipient} is no longer among the operators and approvers, so this link changes nothing."
        raise RequestRefused(403, "Not an operator", detail)
    return RollbackVisitor(
        request=_asked(release_id=claim.release_id),
        about=f"release {claim.release_id}",
        person=claim.recipient,
        how=f"by the link sent to {claim.recipient}",
        claim=claim,
        needs_code=True,
    )


def _signed_in(req: func.HttpRequest, who: Principal, release_id: str) -> RollbackVisitor:
    """A release from its link, or whatever the address names."""
    if OPERATOR not in who.roles:
        others = ", ".join(settings().operators) or "whoever has it"
        detail = f"{who.name} needs the role {OPERATOR} to roll back. Who can open this page with it: {others}."
        raise RequestRefused(403, "Role missing", detail)
    plant, circuit = req.params.get("plant", ""), req.params.get("circuit", "")
    if sum(map(bool, (release_id, plant, circuit))) != 1:
        raise RequestRefused(400, "What shall go back?", "Name one in the address: ?release=, ?plant= or ?circuit=.")
    circuits = (circuit_of(circuit),) if circuit else ()
    return RollbackVisitor(
        request=_asked(release_id=release_id, plant_id=plant, circuits=circuits),
        about=f"release {release_id}" if release_id else plant or circuit,
        person=who.name,
        how="signed in",
        claim=RollbackClaim(release_id=release_id or plant or circuit, recipient=who.name),
    )


def _asked(*, release_id: str, plant_id: str = "", circuits: tuple[Circuit, ...] = ()) -> RollbackRequest:
    return RollbackRequest(requested_by="", reason="", release_id=release_id, plant_id=plant_id, circuits=circuits)


def address(req: func.HttpRequest) -> str:
    """The page's own path with what it was opened with, for the way back from sign-in."""
    given = "&".join(f"{quote(name, safe='')}={quote(value, safe='')}" for name, value in req.params.items())
    return f"/rollbacks/new?{given}"


def cookie_of(req: func.HttpRequest) -> str:
    value = parse_cookie(req.headers.get("cookie", "")).get(COOKIE) or ""
    return value if len(value) <= 100 else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Confirmation:
    """A person's confirmation, as it came in."""

    circuits: tuple[str, ...]
    seen: Mapping[str, str]
    reason: str
    code: str
    csrf: str
    smoke_test: bool = False
    takes_all: bool = False
    """The box for all of them was ticked."""


def read_confirmation(req: func.HttpRequest) -> Confirmation:
    """The page's form; nothing else confirms here, programs have POST /api/rollbacks.

    Raises:
        RequestRefused: 400, 413, 415.
    """
    form = _form(req)
    seen = {name.removeprefix("from:"): value for name, value in form.items() if name.startswith("from:")}
    return Confirmation(
        circuits=tuple(seen) if form.get("all", "") == "yes" else tuple(dict.fromkeys(form.getlist("circuit"))),
        takes_all=form.get("all", "") == "yes",
        seen=seen,
        reason=clean(form.get("reason", "")),
        code=form.get("code", ""),
        csrf=form.get("csrf", ""),
        smoke_test=form.get("smoke_test", "") == "yes",
    )


def _form(req: func.HttpRequest) -> "MultiDict[str, str]":
    raw = req.get_body()
    if len(raw) > LONGEST_FORM:
        raise RequestRefused(413, "Too large", f"The form has {len(raw)} bytes; {LONGEST_FORM} are read.")
    if req.headers.get("content-type", "").partition(";")[0].strip().lower() != FORM:
        raise RequestRefused(415, "Unreadable", "Send the form of the page; programs use POST /api/rollbacks.")
    try:
        _, form, _ = FormDataParser(silent=False, max_form_parts=12_000).parse(BytesIO(raw), FORM, len(raw))
    except (HTTPException, ValueError) as error:
        raise RequestRefused(400, "Unreadable form", "Send the form of the rollback page.") from error
    return form
