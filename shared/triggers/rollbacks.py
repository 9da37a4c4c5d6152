"""The HTTP API of rollbacks, holds and drift (Functions key)."""

from datetime import datetime
from typing import Annotated, Literal

import azure.functions as func
from pydantic import AwareDatetime, BaseModel, ConfigDict, Field, StrictBool, StringConstraints, model_validator

from shared.application.drift import Drift
from shared.application.holds import Holds
from shared.application.queries import Queries
from shared.application.rollbacks import RollbackRequest, Rollbacks
from shared.application.views import ReleaseQuery
from shared.bootstrap import ports, settings
from shared.domain.model import Circuit, Environment
from shared.domain.naming import timestamp
from shared.triggers.http import circuit_of, json_reply, limit_of, read_json, replies
from shared.triggers.identity import OPERATOR, READER, Asked, asked, caller
from shared.triggers.words import Name, Reason

blueprint = func.Blueprint()

Id = Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9][A-Za-z0-9_-]{0,99}$")]


class CircuitBody(BaseModel):
    """`{plant_id, circuit_id}`."""

    model_config = ConfigDict(extra="forbid")
    plant_id: Id
    circuit_id: Id


class RollbackBody(BaseModel):
    """`{release_id}`, `{plant_id}` or `{circuits}`; the rest is optional but the reason."""

    model_config = ConfigDict(extra="forbid")
    release_id: Name = ""
    plant_id: Name = ""
    circuits: Annotated[list[CircuitBody], Field(max_length=5000)] = []
    to: Name = ""
    live: Annotated[str, Field(alias="from", max_length=200)] = ""
    environment: Environment = Environment.PRODUCTION
    smoke_test: StrictBool = False
    reason: Reason
    requested_by: Name = ""

    @model_validator(mode="after")
    def _one_selection(self) -> "RollbackBody":
        if sum(bool(part) for part in (self.release_id, self.plant_id, self.circuits)) != 1:
            raise ValueError("give exactly one of release_id, plant_id and circuits")
        if self.to and len(self.circuits) != 1:
            raise ValueError("`to` names a deployment of one circuit: give exactly one in circuits")
        if self.live and len(self.circuits) != 1:
            raise ValueError("`from` says what is live on one circuit: give exactly one in circuits")
        return self

    def request(self, told: Asked) -> RollbackRequest:
        circuits = tuple(Circuit(plant_id=c.plant_id, circuit_id=c.circuit_id) for c in self.circuits)
        return RollbackRequest(
            requested_by=told.by,
            reason=told.reason,
            release_id=self.release_id,
            plant_id=self.plant_id,
            circuits=circuits,
            to=self.to,
            seen=dict.fromkeys(circuits, self.live) if self.live else {},
            environment=self.environment,
            smoke_test=self.smoke_test,
        )


class HoldBody(BaseModel):
    """`{action, reason, until?, requested_by}`."""

    model_config = ConfigDict(extra="forbid")
    action: Literal["hold", "lift"]
    reason: Reason
    until: AwareDatetime | None = None
    requested_by: Name = ""


@blueprint.route(route="api/rollbacks", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@replies()
def start_rollback(req: func.HttpRequest) -> func.HttpResponse:
    """Put circuits back to their previous deployment, or to a named one."""
    body = read_json(req, RollbackBody)
    started = Rollbacks(ports()).request(body.request(_asked(req, body)))
    url = f"{settings().public_url}/api/rollbacks/{started.rollback_id}"
    reply = {"rollback_id": started.rollback_id, "status_url": url, "notes": list(started.notes)}
    return json_reply(reply, 202 if started.is_new else 200, {"Location": url})


@blueprint.route(route="api/rollbacks", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@replies()
def list_rollbacks(req: func.HttpRequest) -> func.HttpResponse:
    """Rollbacks, the newest day first."""
    caller(req, auth_enabled=settings().website_auth_enabled, role=READER)
    wanted = ReleaseQuery(**{name: req.params.get(name, "") for name in ("phase", "since", "until")})
    return json_reply(Queries(ports()).rollbacks(wanted, limit=limit_of(req), cursor=req.params.get("cursor", "")))


@blueprint.route(route="api/rollbacks/{id}", methods=["GET"], auth_level=func.AuthLevel.FUNCTION)
@replies()
def get_rollback(req: func.HttpRequest) -> func.HttpResponse:
    """One rollback: per circuit from, to, result and seconds."""
    caller(req, auth_enabled=settings().website_auth_enabled, role=READER)
    return json_reply(Queries(ports()).rollback(req.route_params["id"]))


@blueprint.route(route="api/circuits/{plant}/{circuit}/hold", methods=["POST"], auth_level=func.AuthLevel.FUNCTION)
@replies()
def hold_circuit(req: func.HttpRequest) -> func.HttpResponse:
    """Set or lift a circuit's hold."""
    body = read_json(req, HoldBody)
    told, circuit, holds = _asked(req, body), circuit_of(req), Holds(ports())
    if body.action == "lift":
        lock = holds.lift(circuit, by=told.by, why=told.reason)
    else:
        lock = holds.hold(circuit, until=body.until, by=told.by, why=told.reason)
    reply = {"circuit": str(circuit), "held_until": _told(lock.hold_until)}
    return json_reply({**reply, "by": told.by, "reason": told.reason})


class DriftBody(BaseModel):
    """`{reason, requested_by}`."""

    model_config = ConfigDict(extra="forbid")
    reason: Reason
    requested_by: Name = ""


class DriftAcceptBody(DriftBody):
    """`{reason, live?, requested_by}`."""

    live: Name | None = None


@blueprint.route(
    route="api/circuits/{plant}/{circuit}/drift/accept", methods=["POST"], auth_level=func.AuthLevel.FUNCTION
)
@replies()
def accept_drift(req: func.HttpRequest) -> func.HttpResponse:
    """Keep a default that was changed outside this app."""
    body = read_json(req, DriftAcceptBody)
    told = _asked(req, body)
    lock = Drift(ports()).accept(circuit_of(req), by=told.by, why=told.reason, live=body.live)
    return json_reply({"circuit": str(lock.circuit), "want": lock.want, "by": told.by, "reason": told.reason})


@blueprint.route(
    route="api/circuits/{plant}/{circuit}/drift/repair", methods=["POST"], auth_level=func.AuthLevel.FUNCTION
)
@replies()
def repair_drift(req: func.HttpRequest) -> func.HttpResponse:
    """Put a default that was changed outside this app right."""
    told = _asked(req, read_json(req, DriftBody))
    lock = Drift(ports()).repair(circuit_of(req), by=told.by, why=told.reason)
    return json_reply({"circuit": str(lock.circuit), "want": lock.want, "by": told.by, "reason": told.reason}, 202)


def _asked(req: func.HttpRequest, body: RollbackBody | HoldBody | DriftBody) -> Asked:
    signed_in = caller(req, auth_enabled=settings().website_auth_enabled, role=OPERATOR)
    return asked(signed_in, claimed=body.requested_by, reason=body.reason)


def _told(at: datetime | None) -> str | None:
    return timestamp(at) if at else None
