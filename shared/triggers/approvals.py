"""The approvers' page: GET never changes anything, POST checks everything and writes once."""

import hmac
import secrets

import azure.functions as func

from shared.application.gates import Answer, Gates
from shared.bootstrap import ports, settings
from shared.domain.errors import RequestRefused
from shared.triggers.gate_replies import (
    gate_as_json,
    gate_circuit_page,
    gate_page,
    outcome_json,
    outcome_page,
    refuse_if_over,
)
from shared.triggers.gate_visitor import (
    AnswerBody,
    Visitor,
    claim_of,
    cookie_of,
    gate_address,
    read_answer,
    visitor_of,
)
from shared.triggers.http import is_json, is_same_origin, replies, wants_json
from shared.triggers.sign_in import SignInNeeded, to_sign_in

blueprint = func.Blueprint()


@blueprint.route(route="approvals/{token}", methods=["GET", "HEAD"], auth_level=func.AuthLevel.ANONYMOUS)
@replies(as_page=True)
def show_gate(req: func.HttpRequest) -> func.HttpResponse:
    """The evidence page, or the same as data. No side effect, ever."""
    try:
        visitor = visitor_of(req, claim_of(req))
    except SignInNeeded:
        return to_sign_in(req, gate_address(req))
    view = Gates(ports()).view(visitor.claim)
    if wants_json(req):
        return gate_as_json(visitor, view)
    cookie = cookie_of(req) or secrets.token_urlsafe(16)
    if circuit := req.params.get("circuit"):
        return gate_circuit_page(visitor, view, cookie, circuit)
    return gate_page(visitor, view, cookie)


@blueprint.route(route="approvals/{token}", methods=["POST"], auth_level=func.AuthLevel.ANONYMOUS)
@replies(as_page=True)
def answer_gate(req: func.HttpRequest) -> func.HttpResponse:
    """A person's decision."""
    try:
        visitor = _who_answers(req)
    except SignInNeeded:
        return to_sign_in(req, gate_address(req))
    body = read_answer(req)
    cookie = "" if is_json(req) else cookie_of(req)
    answer = Answer(
        decision=body.decision,
        comment=body.comment,
        digest=body.digest,
        code=body.code,
        exclude=body.exclude,
        mistrust=_mistrust(req, visitor, body, cookie),
    )
    outcome = Gates(ports()).decide(
        visitor.claim, answer, by=visitor.by, how=visitor.how, needs_code=visitor.needs_code
    )
    if is_json(req):
        return outcome_json(outcome)
    return outcome_page(req, visitor, outcome, body, cookie or secrets.token_urlsafe(16))


def _who_answers(req: func.HttpRequest) -> Visitor:
    """That a link is over comes before who answers by it; whoever is no approver reads that and nothing else."""
    claim = claim_of(req)
    try:
        return visitor_of(req, claim)
    except (SignInNeeded, RequestRefused):
        refuse_if_over(Gates(ports()).view(claim).standing)
        raise


def _mistrust(req: func.HttpRequest, visitor: Visitor, body: AnswerBody, cookie: str) -> str:
    """Why this may come from elsewhere. A form is bound to the browser's cookie, JSON sends back what it was given."""
    if not is_same_origin(req, settings().public_url):
        return "This answer did not come from the approval page. Open the link from your mail again."
    expected = ports().tokens.csrf(visitor.claim, cookie)
    bound = bool(cookie) or is_json(req)
    if not (bound and hmac.compare_digest(body.csrf.encode(), expected.encode())):
        return "The form is not from this browser. Open the link from your mail again."
    return ""
