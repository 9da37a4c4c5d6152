"""The page that confirms a rollback, and the one that follows it. GET never changes anything."""

import hmac
import secrets
from dataclasses import replace
from urllib.parse import quote, urlencode, urlsplit

import azure.functions as func
from werkzeug.http import dump_cookie

from shared.application.codes import LINK_IS_VOID, RollbackCodes
from shared.application.queries import Queries, circuit_of
from shared.application.rollback_affected import Newer
from shared.application.rollback_preview import Previews
from shared.application.rollbacks import Rollbacks
from shared.application.views import RollbackFormView
from shared.bootstrap import ports, settings
from shared.domain.errors import RequestRefused
from shared.pages import render_error, render_rollback, render_rollback_form
from shared.triggers.http import is_same_origin, page, replies
from shared.triggers.reader import reader_of, turned_away
from shared.triggers.rollback_visitor import (
    COOKIE,
    Confirmation,
    RollbackVisitor,
    address,
    cookie_of,
    read_confirmation,
    visitor_of,
)
from shared.triggers.sign_in import SignInNeeded, to_sign_in

blueprint = func.Blueprint()

LONGEST_REASON = 500
NOTHING = Confirmation(circuits=(), seen={}, reason="", code="", csrf="")


@blueprint.route(route="rollbacks/new", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
@replies(as_page=True)
def show_rollback_form(req: func.HttpRequest) -> func.HttpResponse:
    """What is live, what it would go back to, and whether that can serve. No side effect, ever."""
    try:
        visitor = visitor_of(req)
    except SignInNeeded:
        return to_sign_in(req, address(req))
    return _form_page(visitor, cookie_of(req) or secrets.token_urlsafe(16), NOTHING)


@blueprint.route(route="rollbacks/new", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@replies(as_page=True)
def confirm_rollback(req: func.HttpRequest) -> func.HttpResponse:
    """A person's confirmation: everything is checked, then the rollback starts and its page opens."""
    try:
        visitor = visitor_of(req)
    except SignInNeeded:
        return to_sign_in(req, address(req))
    said, cookie = _checked(req, visitor), cookie_of(req)
    try:
        rollback_id = _start(visitor, said)
    except RequestRefused as error:
        return _form_page(visitor, cookie, said, error)
    return page("", 303, {"Location": _path_of(ports().tokens.view_url(rollback_id))})


@blueprint.route(route="rollbacks/{id}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@replies(as_page=True)
def rollback_page(req: func.HttpRequest) -> func.HttpResponse:
    """One rollback; refreshes itself until it has ended."""
    rollback_id, reader = req.route_params["id"], reader_of(req)
    if not reader.may_see(rollback_id):
        back = f"/rollbacks/{quote(rollback_id, safe='')}"
        return turned_away(req, back, "This page opens by the link in the rollback's mail, or after sign-in.")
    view = Queries(ports()).rollback_view(rollback_id)
    everything = req.params.get("all") == "1"
    paused = everything or req.params.get("paused") == "1"
    token = reader.token_for(rollback_id)
    view = replace(view, paused=paused, everything=everything, view_token=token, reads_all=reader.reads_all)
    return page(render_rollback(view))


def _checked(req: func.HttpRequest, visitor: RollbackVisitor) -> Confirmation:
    """Origin, then the form's token: nothing of the form counts before."""
    if not is_same_origin(req, settings().public_url):
        raise RequestRefused(403, "Wrong origin", "This did not come from the rollback page. Open the link again.")
    if visitor.claim is None:
        raise RequestRefused(403, "To look only", "This link shows the page. To confirm, open your own mail's link.")
    said, cookie = read_confirmation(req), cookie_of(req)
    expected = ports().tokens.csrf(visitor.claim, cookie)
    if not (cookie and hmac.compare_digest(said.csrf.encode(), expected.encode())):
        raise RequestRefused(403, "Form expired", "The form is not from this browser. Open the link again.")
    return said


def _start(visitor: RollbackVisitor, said: Confirmation) -> str:
    """The id of the rollback, a new one or the one that the same click started before."""
    if not said.circuits:
        raise RequestRefused(422, "Nothing chosen", "Choose at least one circuit.")
    if unseen := sorted(name for name in said.circuits if not said.seen.get(name)):
        raise RequestRefused(422, "Not seen", f"{', '.join(unseen)}: the form does not say what was shown as live.")
    if not 1 <= len(said.reason) <= LONGEST_REASON:
        raise RequestRefused(422, "Reason missing", f"Say why, in 1 to {LONGEST_REASON} characters.")
    if visitor.needs_code and visitor.claim:
        RollbackCodes(ports()).check(visitor.claim, said.code)
    circuits = tuple(circuit_of(name) for name in said.circuits)
    allowed = set(Rollbacks(ports()).known(visitor.request))
    if unknown := sorted(str(circuit) for circuit in set(circuits) - allowed):
        raise RequestRefused(422, "Unknown circuit", f"{', '.join(unknown)}: not what this page is about.")
    # What the page is about stays in the request: the targets are computed as they were for the page.
    request = replace(
        visitor.request,
        only=circuits,
        seen={circuit: said.seen[str(circuit)] for circuit in circuits},
        requested_by=f"{visitor.person} ({visitor.how})",
        reason=said.reason,
        smoke_test=said.smoke_test,
    )
    return Rollbacks(ports()).request(request).rollback_id


def _form_page(
    visitor: RollbackVisitor, cookie: str, said: Confirmation, refused: RequestRefused | None = None
) -> func.HttpResponse:
    if visitor.needs_code and visitor.claim and RollbackCodes(ports()).is_void(visitor.claim):
        return page(render_error(403, "This link is void", LINK_IS_VOID), 403)
    preview = Previews(ports()).of(visitor.request)
    only = [circuit.name for circuit in preview.circuits] if len(preview.circuits) == 1 else []
    view = RollbackFormView(
        about=visitor.about,
        preview=preview,
        environment=visitor.request.environment,
        hold_days=ports().policy.hold.days,
        may_confirm=visitor.claim is not None,
        person=visitor.person,
        code_needed=visitor.needs_code,
        csrf=ports().tokens.csrf(visitor.claim, cookie) if visitor.claim else "",
        chosen=said.circuits or only,
        reason=said.reason,
        smoke_test=said.smoke_test,
        takes_all=said.takes_all,
        problem=refused.detail if refused else "",
        view_url=_back(visitor),
        newer_urls={one.release_id: _newer_url(visitor, one) for one in preview.newer},
        limits=visitor.limits,
    )
    secure = settings().public_url.startswith("https://")
    set_cookie = dump_cookie(COOKIE, cookie, path="/rollbacks", httponly=True, samesite="Strict", secure=secure)
    return page(render_rollback_form(view), refused.status if refused else 200, {"Set-Cookie": set_cookie})


def _newer_url(visitor: RollbackVisitor, newer: Newer) -> str:
    """Empty: who only looks can't go on from here, nor a link to what has ended and has a mail of its own."""
    if visitor.claim is None or (visitor.needs_code and not newer.is_at_work):
        return ""
    by = {"link": visitor.link} if visitor.needs_code else {}
    return f"/rollbacks/new?{urlencode({**by, 'release': newer.release_id})}"


def _back(visitor: RollbackVisitor) -> str:
    """The page of the release that would go back."""
    release_id = visitor.request.release_id
    if visitor.view_token:
        return f"/releases/{quote(release_id, safe='')}?{urlencode({'view': visitor.view_token})}"
    return ports().tokens.view_url(release_id) if release_id else ""


def _path_of(url: str) -> str:
    parts = urlsplit(url)
    return f"{parts.path}?{parts.query}"
