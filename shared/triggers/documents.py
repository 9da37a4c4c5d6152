"""What machines read about the app: its OpenAPI document, the artifact's schema, its health."""

from collections.abc import Mapping, Sequence
from pathlib import Path

import azure.functions as func

from shared.application.queries import Queries
from shared.bootstrap import ports, settings
from shared.domain.errors import ConfigurationError, PipelineError, StateRefused
from shared.telemetry import log
from shared.triggers.http import API_HEADERS, json_reply, replies
from shared.triggers.identity import READER, caller

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
    """`ok` or `degraded`, for anyone; what is wrong stands in the log and under `/api/health/details`."""
    del req
    status, _, code = _health()
    return json_reply({"status": status}, code)


@blueprint.route(route="api/health/details", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@replies()
def health_details(req: func.HttpRequest) -> func.HttpResponse:
    """The same with what is wrong. A function without a key can't tell who has one, so this is one of its own."""
    caller(req, auth_enabled=settings().website_auth_enabled, role=READER)
    status, trouble, code = _health()
    return json_reply({"status": status, "details": trouble}, code)


def _health() -> tuple[str, Mapping[str, Sequence[str]], int]:
    """The status, what is wrong, and the HTTP status."""
    try:
        trouble = Queries(ports()).health()
    except (ConfigurationError, StateRefused) as error:
        log.error("not set up right", action="health_failed", error=error)
        return "degraded", {"settings": [str(error)]}, 503
    except PipelineError as error:
        log.error("health check failed", action="health_failed", error=error)
        return "degraded", {"state": ["Table Storage does not answer"]}, 503
    if trouble:
        log.warning("degraded", action="health_degraded", trouble=trouble)
    return "degraded" if trouble else "ok", trouble, 200
