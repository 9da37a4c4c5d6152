"""The HTTP API for builds and operators (Functions key)."""

from typing import Annotated

import azure.functions as func
from pydantic import BaseModel, ConfigDict, Field

from shared.application.circuit_history import circuit_json, moment_asked
from shared.application.gate_mails import GateMails
from shared.application.intake import Arrival, Intake
from shared.application.manifest import REMEDY
from shared.application.operations import Operations
from shared.application.queries import Queries
from shared.application.release_evidence import read_bundle
from shared.bootstrap import ports, settings
from shared.domain.errors import RequestRefused
from shared.domain.model import GateName
from shared.domain.naming import timestamp
from shared.triggers.http import (
    API_HEADERS,
    LONGEST_BODY,
    circuit_of,
    json_reply,
    limit_of,
    problem,
    read_json,
    release_query,
    replies,
)
from shared.triggers.identity import OPERATOR, READER, Asked, asked, caller
from shared.triggers.words import Name, Reason

blueprint = func.Blueprint()


class CancelBody(BaseModel):
    """`{reason, requested_by}`."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason
    requested_by: Name = ""


class RetryBody(CancelBody):
    """`{reason, requested_by, exclude?}`; `exclude` maps PLANT/CIRCUIT to the reason."""

    exclude: Annotated[dict[str, Reason], Field(max_length=5000)] = {}


@blueprint.route(route="api/releases", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@replies()
def start_release(req: func.HttpRequest) -> func.HttpResponse:
    """Start a release by hand; the body is the artifact."""
    signed_in = _caller(req, OPERATOR)
    body = req.get_body()
    if len(body) > LONGEST_BODY * 10:
        raise RequestRefused(413, "Too large", "The artifact is larger than 10 MB; upload it as a blob.")
    taken = Intake(ports()).from_request(body, signed_in=signed_in)
    reply = {"release_id": taken.release_id, "status_url": f"{settings().public_url}/api/releases/{taken.release_id}"}
    match taken.arrival:
        case Arrival.STARTED:
            return json_reply(reply, 202, {"Location": reply["status_url"]})
        case Arrival.KNOWN:
            return json_reply(reply, 200)
        case Arrival.CONFLICT:
            return problem(409, "The release exists", taken.message)
        case _:
            return problem(422, "The artifact can't be used", f"{taken.message}. {REMEDY}")


@blueprint.route(route="api/releases", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@replies()
def list_releases(req: func.HttpRequest) -> func.HttpResponse:
    """Releases, newest first."""
    _caller(req, READER)
    found = Queries(ports()).releases(release_query(req), limit=limit_of(req), cursor=req.params.get("cursor", ""))
    return json_reply(found)


@blueprint.route(route="api/releases/{id}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@replies()
def get_release(req: func.HttpRequest) -> func.HttpResponse:
    """One release with circuits, gates, history and summary."""
    _caller(req, READER)
    return json_reply(Queries(ports()).release(req.route_params["id"]))


@blueprint.route(route="api/releases/{id}/evidence.json", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@replies()
def get_evidence(req: func.HttpRequest) -> func.HttpResponse:
    """The auditor's bundle of a release that has ended, byte for byte as it was written."""
    _caller(req, READER)
    content, digest = read_bundle(req.route_params["id"], req.params.get("part", ""), ports())
    headers = {**API_HEADERS, "ETag": f'"{digest}"', "X-Evidence-SHA256": digest}
    return func.HttpResponse(content, mimetype="application/json", headers=headers)


@blueprint.route(route="api/releases/{id}/retry", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@replies()
def retry_release(req: func.HttpRequest) -> func.HttpResponse:
    """Resume a failed release, or re-open an expired gate."""
    body = read_json(req, RetryBody)
    told = _asked(req, body)
    release = Operations(ports()).retry(req.route_params["id"], by=told.by, reason=told.reason, exclude=body.exclude)
    return json_reply({"release_id": release.release_id, "phase": release.phase, "gen": release.gen}, 202)


@blueprint.route(route="api/releases/{id}/cancel", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@replies()
def cancel_release(req: func.HttpRequest) -> func.HttpResponse:
    """Stop a release before it activates anything."""
    body = read_json(req, CancelBody)
    told = _asked(req, body)
    release = Operations(ports()).cancel(req.route_params["id"], by=told.by, reason=told.reason)
    return json_reply({"release_id": release.release_id, "phase": release.phase}, 202)


@blueprint.route(route="api/releases/{id}/gates/{gate}/notices", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@replies()
def send_gate_mails(req: func.HttpRequest) -> func.HttpResponse:
    """Send the mails of an open gate again, with fresh personal links."""
    body = read_json(req, CancelBody)
    told = _asked(req, body)
    release_id, gate = req.route_params["id"], req.route_params["gate"]
    if gate not in GateName:
        raise RequestRefused(404, "No such gate", f"{gate[:50]!r} is none of {', '.join(GateName)}.")
    sent = GateMails(ports()).send_again(release_id, GateName(gate), by=told.by, reason=told.reason)
    reply = {"release_id": release_id, "gate": gate, "recipients": list(sent.recipients)}
    return json_reply({**reply, "expires_at": timestamp(sent.expires_at)}, 202)


@blueprint.route(route="api/circuits/{plant}/{circuit}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@replies()
def get_circuit(req: func.HttpRequest) -> func.HttpResponse:
    """What has been live since when, in Test and Production; with `at` also what scored it at a moment."""
    _caller(req, READER)
    return json_reply(circuit_json(circuit_of(req), moment_asked(req.params.get("at", "")), ports()))


def _caller(req: func.HttpRequest, role: str) -> str:
    return caller(req, auth_enabled=settings().website_auth_enabled, role=role)


def _asked(req: func.HttpRequest, body: CancelBody) -> Asked:
    return asked(_caller(req, OPERATOR), claimed=body.requested_by, reason=body.reason)
