"""Pages to read: the list of releases, one release, its artifact, a circuit."""

from dataclasses import replace
from urllib.parse import quote

import azure.functions as func

from shared.application.circuit_history import circuit_view, moment_asked
from shared.application.queries import Queries
from shared.application.release_evidence import read_bundle
from shared.bootstrap import ports
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
from shared.triggers.http import circuit_of, page, release_query, replies
from shared.triggers.reader import reader_of, turned_away

blueprint = func.Blueprint()


@blueprint.route(route="/", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@replies(as_page=True)
def list_page(req: func.HttpRequest) -> func.HttpResponse:
    """The list of releases."""
    reader = reader_of(req)
    if not reader.reads_all:
        detail = "The list of releases needs sign-in, or a link from a mail to an approver or operator."
        return turned_away(req, "/", detail)
    view = Queries(ports()).releases_view(release_query(req), limit=50, cursor=req.params.get("cursor", ""))
    return page(render_releases(replace(view, view_token=reader.token if reader.has_link_to_all else "")))


@blueprint.route(route="releases/{id}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@replies(as_page=True)
def release_page(req: func.HttpRequest) -> func.HttpResponse:
    """One release: stages x circuits."""
    release_id, reader = req.route_params["id"], reader_of(req)
    if not reader.may_see(release_id):
        back = f"/releases/{quote(release_id, safe='')}"
        return turned_away(req, back, "This page opens by the link in the release's mails, or after sign-in.")
    if release_id.startswith(DRIFT_PREFIX):
        return page(render_drift(Queries(ports()).drift_view(release_id)))
    view = Queries(ports()).release_view(release_id)
    everything = req.params.get("all") == "1"
    paused = everything or req.params.get("paused") == "1"
    token = reader.token_for(release_id)
    view = replace(view, paused=paused, everything=everything, view_token=token, reads_all=reader.reads_all)
    return page(render_release(view))


@blueprint.route(route="releases/{id}/artifact", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@replies(as_page=True)
def artifact(req: func.HttpRequest) -> func.HttpResponse:
    """The artifact that started a release, as text, for whoever may see its page."""
    release_id = req.route_params["id"]
    if not reader_of(req).may_see(release_id):
        back = f"/releases/{quote(release_id, safe='')}/artifact"
        return turned_away(req, back, "The artifact opens by the link on the release's page, or after sign-in.")
    # As plain text: whatever a build writes into it, no browser takes it for a page.
    headers = {**HEADERS, "Content-Type": "text/plain; charset=utf-8"}
    return func.HttpResponse(Queries(ports()).artifact(release_id), mimetype="text/plain", headers=headers)


@blueprint.route(route="releases/{id}/evidence.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@replies(as_page=True)
def evidence(req: func.HttpRequest) -> func.HttpResponse:
    """What was shown at a gate, or the whole bundle, byte for byte, for whoever may see the release's page."""
    release_id = req.route_params["id"]
    if not reader_of(req).may_see(release_id):
        back = f"/releases/{quote(release_id, safe='')}/evidence.json"
        return turned_away(req, back, "The evidence opens by the link on the release's page, or after sign-in.")
    content, _ = read_bundle(release_id, req.params.get("part", ""), ports())
    headers = {**HEADERS, "Content-Type": "application/json; charset=utf-8"}
    return func.HttpResponse(content, mimetype="application/json", headers=headers)


@blueprint.route(route="circuits/{plant}/{circuit}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@replies(as_page=True)
def circuit_page(req: func.HttpRequest) -> func.HttpResponse:
    """What has been live for one circuit, or what was at the moment `at`."""
    circuit = circuit_of(req)
    reader = reader_of(req)
    release_id = reader.claim.release_id if reader.claim else ""
    # A link about one release shows the circuits of that release.
    is_in_release = bool(release_id) and ports().releases.release_and_run(release_id, circuit) is not None
    if not (is_in_release or reader.reads_all):
        back = f"/circuits/{quote(circuit.plant_id, safe='')}/{quote(circuit.circuit_id, safe='')}"
        return turned_away(req, back, "This page opens by the link in a release's mails, or after sign-in.")
    view = circuit_view(circuit, moment_asked(req.params.get("at", "")), ports())
    token = reader.token if reader.has_link_to_all or is_in_release else ""
    return page(render_circuit(view, view_token=token, view_release=release_id, reads_all=reader.reads_all))


@blueprint.route(route="assets/pages.css", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def stylesheet(req: func.HttpRequest) -> func.HttpResponse:
    """The one stylesheet."""
    del req
    return func.HttpResponse(STYLESHEET, mimetype="text/css", headers=dict(STYLESHEET_HEADERS))
