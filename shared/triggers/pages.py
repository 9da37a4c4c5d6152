"""Pages to read: the list of releases and one release. Reached by sign-in or by a signed link, never by a key."""

from dataclasses import replace

import azure.functions as func

from shared.application.queries import Queries
from shared.bootstrap import ports, settings
from shared.domain.errors import RequestRefused
from shared.pages import STYLESHEET, STYLESHEET_HEADERS, render_release, render_releases
from shared.triggers.http import page, replies
from shared.triggers.identity import APPROVER, OPERATOR, READER, principal

blueprint = func.Blueprint()

READERS = frozenset({READER, APPROVER, OPERATOR})


@blueprint.route(route="/", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@replies(as_page=True)
def list_page(req: func.HttpRequest) -> func.HttpResponse:
    """The list of releases."""
    if not _may_read(req):
        raise _not_for_you("The list of releases needs sign-in. A single release opens by the link in its mails.")
    view = Queries(ports()).releases_view(
        phase=req.params.get("phase", ""),
        circuit=req.params.get("circuit", ""),
        limit=50,
        cursor=req.params.get("cursor", ""),
    )
    return page(render_releases(view))


@blueprint.route(route="releases/{id}", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
@replies(as_page=True)
def release_page(req: func.HttpRequest) -> func.HttpResponse:
    """One release: stages x circuits."""
    release_id = req.route_params["id"]
    if ports().tokens.read_view(req.params.get("view", "")) != release_id and not _may_read(req):
        raise _not_for_you("This page opens by the link in the release's mails, or after sign-in.")
    view = Queries(ports()).release_view(release_id)
    paused = req.params.get("paused") == "1"
    return page(render_release(replace(view, paused=paused, view_token=req.params.get("view", ""))))


@blueprint.route(route="assets/pages.css", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def stylesheet(req: func.HttpRequest) -> func.HttpResponse:
    """The one stylesheet."""
    del req
    return func.HttpResponse(STYLESHEET, mimetype="text/css", headers=dict(STYLESHEET_HEADERS))


def _may_read(req: func.HttpRequest) -> bool:
    who = principal(req, auth_enabled=settings().website_auth_enabled)
    return who is not None and bool(who.roles & READERS)


def _not_for_you(detail: str) -> RequestRefused:
    return RequestRefused(403, "Not open to everybody", detail)
