"""HTTP replies: JSON, problems (RFC 9457), pages; and what every request is checked for."""

import json
from collections.abc import Callable, Mapping
from dataclasses import fields
from functools import wraps
from urllib.parse import urlsplit

import azure.functions as func
from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from shared.application.views import ReleaseQuery
from shared.domain.errors import (
    ConfigurationError,
    ConflictError,
    PermanentError,
    RequestRefused,
    StateRefused,
    TransientError,
)
from shared.domain.model import Circuit
from shared.domain.naming import CIRCUIT_PART
from shared.pages import HEADERS, render_error
from shared.telemetry import log

PROBLEM = "application/problem+json"
API_HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}
LONGEST_BODY = 1_000_000
MOST_LISTED = 200

type Handler = Callable[[func.HttpRequest], func.HttpResponse]


def json_reply(body: object, status: int = 200, headers: Mapping[str, str] | None = None) -> func.HttpResponse:
    return func.HttpResponse(
        json.dumps(body, ensure_ascii=False),
        status_code=status,
        mimetype="application/json",
        headers={**API_HEADERS, **(headers or {})},
    )


def problem(status: int, title: str, detail: str) -> func.HttpResponse:
    """RFC 9457: what happened, to which circuit, what to do."""
    body = {"type": "about:blank", "title": title, "status": status, "detail": detail}
    return func.HttpResponse(
        json.dumps(body, ensure_ascii=False), status_code=status, mimetype=PROBLEM, headers=API_HEADERS
    )


def page(html: str, status: int = 200, headers: Mapping[str, str] | None = None) -> func.HttpResponse:
    return func.HttpResponse(
        html, status_code=status, mimetype="text/html", charset="utf-8", headers={**HEADERS, **(headers or {})}
    )


def release_query(request: func.HttpRequest) -> ReleaseQuery:
    """The filters of a list of releases, page and API alike."""
    return ReleaseQuery(**{field.name: request.params.get(field.name, "") for field in fields(ReleaseQuery)})


def limit_of(request: func.HttpRequest) -> int:
    """How much of a list is asked for. RequestRefused: 400."""
    text = request.params.get("limit", "50")
    if not (text.isascii() and text.isdigit() and len(text) <= 4 and 1 <= int(text) <= MOST_LISTED):
        raise RequestRefused(400, "Bad limit", f"limit must be a number from 1 to {MOST_LISTED}.")
    return int(text)


def circuit_of(request: func.HttpRequest) -> Circuit:
    """The circuit in the address. RequestRefused: 404, no circuit can have such a name."""
    circuit = Circuit(plant_id=request.route_params["plant"], circuit_id=request.route_params["circuit"])
    if not all(CIRCUIT_PART.fullmatch(part) for part in (circuit.plant_id, circuit.circuit_id)):
        detail = "Plant and circuit ids are letters, digits, _ and -, as in the artifact."
        raise RequestRefused(404, "No such circuit", detail)
    return circuit


def wants_json(request: func.HttpRequest) -> bool:
    accept = request.headers.get("accept", "")
    return bool("application/json" in accept and "text/html" not in accept)


def is_json(request: func.HttpRequest) -> bool:
    return bool(request.headers.get("content-type", "").partition(";")[0].strip().lower() == "application/json")


def refused(request: func.HttpRequest, status: int, title: str, detail: str, *, as_page: bool) -> func.HttpResponse:
    """A refusal in the form the caller reads."""
    if as_page and not wants_json(request):
        return page(render_error(status, title, detail), status)
    return problem(status, title, detail)


def replies(*, as_page: bool = False) -> Callable[[Handler], Handler]:
    """The edge of an HTTP function: refusals become replies, anything else is the host's 500."""

    def decorate(handler: Handler) -> Handler:
        @wraps(handler)
        def guarded(req: func.HttpRequest) -> func.HttpResponse:
            try:
                return handler(req)
            except RequestRefused as error:
                return refused(req, error.status, error.title, error.detail, as_page=as_page)
            except ValidationError as error:
                return refused(req, 422, "Invalid request", _said(error), as_page=as_page)
            except (ConfigurationError, StateRefused) as error:
                log.error("not set up right", action="http_configuration", error=error)
                return refused(req, 500, "The app is not set up right", str(error), as_page=as_page)
            except PermanentError as error:
                return refused(req, 422, "Not possible", str(error), as_page=as_page)
            except ConflictError as error:
                log.info("others were quicker", action="http_conflict", error=error)
                detail = "Somebody else changed the same thing in this moment. Look again, then decide."
                return refused(req, 409, "Somebody was quicker", detail, as_page=as_page)
            except TransientError as error:
                log.warning("storage out of reach", action="http_transient", error=error)
                detail = "A service this app stands on does not answer. Look whether this was begun, then try again."
                return refused(req, 503, "Try again later", detail, as_page=as_page)

        return guarded

    return decorate


def _said(error: ValidationError) -> str:
    parts = [f"{'.'.join(map(str, e['loc'])) or 'body'}: {_reason(e)}" for e in error.errors(include_input=False)]
    return "; ".join(parts[:10])


def _reason(error: ErrorDetails) -> str:
    if error["type"] == "string_too_long":
        return f"longer than {error['ctx']['max_length']} characters: shorten it"
    return error["msg"].removeprefix("Value error, ")


def read_json[Model: BaseModel](request: func.HttpRequest, model: type[Model]) -> Model:
    """The request's body as a model; `ValidationError` becomes 422 at the edge."""
    body = request.get_body()
    if len(body) > LONGEST_BODY:
        raise RequestRefused(413, "Too large", f"The body has {len(body)} bytes; {LONGEST_BODY} are read.")
    return model.model_validate_json(body)


def is_same_origin(request: func.HttpRequest, public_url: str) -> bool:
    """A present Origin or Sec-Fetch-Site must be ours; without both, only JSON is taken (no browser form)."""
    origin = request.headers.get("origin")
    site = request.headers.get("sec-fetch-site")
    if origin is None and site is None:
        return is_json(request)
    wanted = urlsplit(public_url)
    ours = origin is None or urlsplit(origin)[:2] == wanted[:2]
    return bool(ours) and site in {None, "same-origin", "none"}
