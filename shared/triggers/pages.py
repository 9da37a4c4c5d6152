"""Pages to read: the list of releases and one release. Reached by sign-in or by a signed link, never by a key."""

from dataclasses import replace
from urllib.parse import quote

import azure.functions as func

from shared.application.circuit_history import circuit_view, moment_asked
from shared.application.queries import Queries
from shared.bootstrap import ports, settings
from shared.domain.errors import RequestRefused
from shared.domain.model import Circuit
from shared.domain.naming import DRIFT_PREFIX
from shared.pages import (
    HEADERS,
    STYLESHEET,
    STYLESHEET_HEADERS,
    render_circuit,
    render_drift,
    render_release,
    render_releases,
)
from shared.triggers.http import page, release_query, replies
from shared.triggers.identity import APPROVER, OPERATOR, READER, principal
from shared.triggers.sign_in import to_sign_in

blueprint = func.Blueprint()

READERS = frozenset({READER, APPROVER, OPERATOR})


@blueprint.route(route="/", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@replies(as_page=True)
def list_page(req: func.HttpRequest) -> func.HttpResponse:
    """The list of releases."""
    if not may_read(req):
        return turned_away(req, "/", "The list of releases needs sign-in. A single one opens by the link in its mails.")
    view = Queries(ports()).releases_view(release_query(req), limit=50, cursor=req.params.get("cursor", ""))
    return page(render_releases(view))


@blueprint.route(route="releases/{id}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@replies(as_page=True)
def release_page(req: func.HttpRequest) -> func.HttpResponse:
    """One release: stages x circuits."""
    release_id = req.route_params["id"]
    if ports().tokens.read_view(req.params.get("view", "")) != release_id and not may_read(req):
        back = f"/releases/{quote(release_id, safe='')}"
        return turned_away(req, back, "This page opens by the link in the release's mails, or after sign-in.")
    if release_id.startswith(DRIFT_PREFIX):
        return page(render_drift(Queries(ports()).drift_view(release_id)))
    view = Queries(ports()).release_view(release_id)
    paused = req.params.get("paused") == "1"
    return page(render_release(replace(view, paused=paused, view_token=req.params.get("view", ""))))


@blueprint.route(route="releases/{id}/artifact", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@replies(as_page=True)
def artifact(req: func.HttpRequest) -> func.HttpResponse:
    """The artifact that started a release, as text, for whoever may see its page."""
    release_id = req.route_params["id"]
    if ports().tokens.read_view(req.params.get("view", "")) != release_id and not may_read(req):
        back = f"/releases/{quote(release_id, safe='')}/artifact"
        return turned_away(req, back, "The artifact opens by the link on the release's page, or after sign-in.")
    # As plain text: whatever a build writes into it, no browser takes it for a page.
    headers = {**HEADERS, "Content-Type": "text/plain; charset=utf-8"}
    return func.HttpResponse(Queries(ports()).artifact(release_id), mimetype="text/plain", headers=headers)


@blueprint.route(route="circuits/{plant}/{circuit}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@replies(as_page=True)
def circuit_page(req: func.HttpRequest) -> func.HttpResponse:
    """What has been live for one circuit, or what was at the moment `at`."""
    circuit = Circuit(plant_id=req.route_params["plant"], circuit_id=req.route_params["circuit"])
    token = req.params.get("view", "")
    release_id = ports().tokens.read_view(token) or ""
    # A link from a release's mail shows the circuits of that release.
    is_in_release = bool(release_id) and ports().releases.release_and_run(release_id, circuit) is not None
    if not is_in_release and not may_read(req):
        back = f"/circuits/{quote(circuit.plant_id, safe='')}/{quote(circuit.circuit_id, safe='')}"
        return turned_away(req, back, "This page opens by the link in a release's mails, or after sign-in.")
    view = circuit_view(circuit, moment_asked(req.params.get("at", "")), ports())
    return page(render_circuit(view, view_token=token if is_in_release else "", view_release=release_id))


@blueprint.route(route="assets/pages.css", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def stylesheet(req: func.HttpRequest) -> func.HttpResponse:
    """The one stylesheet."""
    del req
    return func.HttpResponse(STYLESHEET, mimetype="text/css", headers=dict(STYLESHEET_HEADERS))


def may_read(req: func.HttpRequest) -> bool:
    """Is somebody signed in who may read everything?"""
    who = principal(req, auth_enabled=settings().website_auth_enabled)
    return who is not None and bool(who.roles & READERS)


def turned_away(req: func.HttpRequest, back: str, detail: str) -> func.HttpResponse:
    """To sign-in, where that may help; whoever is signed in lacks a role."""
    config = settings()
    who = principal(req, auth_enabled=config.website_auth_enabled)
    if who is None and config.website_auth_enabled:
        return to_sign_in(req, back)
    lacks = f" {who.name} has none of the roles {', '.join(sorted(READERS))}." if who else ""
    raise RequestRefused(403, "Not open to everybody", detail + lacks)
