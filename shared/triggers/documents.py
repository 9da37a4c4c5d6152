"""What machines read about the app: its OpenAPI document, the artifact's schema, its health."""

from pathlib import Path

import azure.functions as func

from shared.application.queries import Queries
from shared.bootstrap import ports, settings
from shared.domain.errors import PipelineError
from shared.telemetry import log
from shared.triggers.http import API_HEADERS, json_reply
from shared.triggers.identity import READER, principal

blueprint = func.Blueprint()

HERE = Path(__file__).parent
OPENAPI = (HERE / "openapi.json").read_bytes()


@blueprint.route(route="api/openapi.json", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def openapi(req: func.HttpRequest) -> func.HttpResponse:
    """The API as OpenAPI 3.1."""
    del req
    return func.HttpResponse(OPENAPI, mimetype="application/json", headers=API_HEADERS)


@blueprint.route(route="api/health", methods=["GET"], auth_level=func.AuthLevel.ANONYMOUS)
def health(req: func.HttpRequest) -> func.HttpResponse:
    """`ok` or `degraded`, for anyone; what is wrong is for signed-in readers and for the log."""
    try:
        trouble = Queries(ports()).health()
    except PipelineError as error:
        log.error("health check failed", action="health_failed", error=error)
        return json_reply({"status": "degraded"}, 503)
    if trouble:
        log.warning("degraded", action="health_degraded", trouble=trouble)
    who = principal(req, auth_enabled=settings().website_auth_enabled)
    details = {"details": trouble} if trouble and who is not None and READER in who.roles else {}
    return json_reply({"status": "degraded" if trouble else "ok", **details})
