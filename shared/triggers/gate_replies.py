"""How a gate looks to a visitor, and what they are told about their answer."""

import json
from dataclasses import replace

import azure.functions as func
from werkzeug.http import dump_cookie

from shared.application.codes import MOST_WRONG_CODES
from shared.application.gates import Gates, GateView, Outcome, Standing, Verdict
from shared.application.views import ApprovalState, ApprovalView
from shared.application.votes import came_to, not_recorded
from shared.bootstrap import ports, settings
from shared.domain.errors import RequestRefused
from shared.domain.naming import timestamp
from shared.pages import APPROVAL_STATUS, render_approval, render_approval_circuit
from shared.triggers.gate_visitor import COOKIE, AnswerBody, Visitor, gate_address
from shared.triggers.http import json_reply, page, problem

STATES = {
    Standing.OPEN: ApprovalState.OPEN,
    Standing.DECIDED: ApprovalState.DECIDED,
    Standing.EXPIRED: ApprovalState.EXPIRED,
    Standing.SUPERSEDED: ApprovalState.VOID,
    Standing.LINK_VOID: ApprovalState.LINK_VOID,
}


def gate_page(visitor: Visitor, view: GateView, cookie: str) -> func.HttpResponse:
    """The evidence page as it stands."""
    shown = _shown(visitor, view, cookie)
    return _page(shown, cookie, APPROVAL_STATUS[shown.state])


def gate_circuit_page(visitor: Visitor, view: GateView, cookie: str, name: str) -> func.HttpResponse:
    """Everything the evidence says about one circuit; for a large release, whose page has room for a line of it."""
    shown = _shown(visitor, view, cookie)
    html = render_approval_circuit(shown, name)
    if html is None:
        raise RequestRefused(404, "No such circuit", "The evidence of this gate has no such circuit.")
    return page(html, APPROVAL_STATUS[shown.state])


def outcome_page(
    req: func.HttpRequest, visitor: Visitor, outcome: Outcome, body: AnswerBody, cookie: str
) -> func.HttpResponse:
    """Back to the page after a decision; else the page again, with what was filled in and why it was not taken."""
    if outcome.verdict in {Verdict.APPROVED, Verdict.REJECTED, Verdict.COUNTED}:
        return page("", 303, {"Location": gate_address(req)})
    shown = replace(
        _shown(visitor, outcome.view, cookie),
        digest=body.digest,
        decision=body.decision,
        comment=body.comment,
        exclude=body.exclude,
    )
    match outcome.verdict:
        case Verdict.WRONG_CODE:
            tries = _tries_left(visitor, outcome)
            return _page(replace(shown, tries_left=tries, problem="The code is wrong."), cookie, 403)
        case Verdict.MISTRUSTED:
            # Nothing of what came along is shown: somebody else may have filled it in.
            raise RequestRefused(403, "Not from the approval page", outcome.message)
        case Verdict.IS_REQUESTER:
            return _page(replace(shown, problem=outcome.message), cookie, 403)
        case Verdict.ALREADY_VOTED if not outcome.is_repeated:
            problem = f"{not_recorded(body.decision)} {outcome.message}"
            return _page(replace(shown, problem=problem), cookie, 422)
        case Verdict.INCOMPLETE | Verdict.ALREADY_VOTED:
            return _page(replace(shown, problem=outcome.message), cookie, 422)
        case Verdict.CHANGED:
            # Nothing is chosen in advance: that was about other evidence.
            anew = replace(shown, state=ApprovalState.CHANGED, changes=outcome.changes, digest="", decision="")
            return _page(anew, cookie, 409)
        case Verdict.NOT_OPEN if shown.state is ApprovalState.DECIDED and not (
            outcome.is_repeated or came_to(shown.gate, body.decision, body.exclude)
        ):
            return _page(replace(shown, problem=not_recorded(body.decision)), cookie, 409)
        case _:
            return _page(shown, cookie, APPROVAL_STATUS[shown.state])


def _shown(visitor: Visitor, view: GateView, cookie: str) -> ApprovalView:
    if view.gate is None or view.release is None:
        raise RequestRefused(404, "No such gate", "The release or its gate is gone. Open the newest mail again.")
    release_page = ports().tokens.view_url(view.release.release_id)
    return ApprovalView(
        state=STATES[view.standing],
        release=view.release,
        gate=view.gate,
        evidence=json.loads(view.document or b"{}"),
        now=ports().clock.now(),
        outdated=view.outdated,
        recipient=visitor.by,
        code_needed=visitor.needs_code,
        barred=Gates(ports()).barred(view, visitor.by),
        csrf=ports().tokens.csrf(visitor.claim, cookie),
        view_url=release_page,
        artifact_url=release_page.replace("?", "/artifact?", 1),
    )


def _page(shown: ApprovalView, cookie: str, status: int) -> func.HttpResponse:
    secure = settings().public_url.startswith("https://")
    set_cookie = dump_cookie(COOKIE, cookie, path="/approvals", httponly=True, samesite="Strict", secure=secure)
    return page(render_approval(shown), status, {"Set-Cookie": set_cookie})


def _tries_left(visitor: Visitor, outcome: Outcome) -> int:
    used = outcome.view.gate.wrong_codes.get(visitor.claim.recipient, 0) if outcome.view.gate else 0
    return max(MOST_WRONG_CODES - used, 0)


OUTCOME_STATUS = {
    Verdict.APPROVED: 200,
    Verdict.REJECTED: 200,
    Verdict.COUNTED: 202,
    Verdict.WRONG_CODE: 403,
    Verdict.MISTRUSTED: 403,
    Verdict.IS_REQUESTER: 403,
    Verdict.LINK_VOID: 403,
    Verdict.INCOMPLETE: 422,
    Verdict.ALREADY_VOTED: 409,
    Verdict.CHANGED: 409,
}
NOT_OPEN_STATUS = {Standing.EXPIRED: 410, Standing.UNKNOWN: 404}
"""Whatever else closed the gate: 409."""
TITLES = {
    Verdict.WRONG_CODE: "The code is wrong",
    Verdict.MISTRUSTED: "csrf is missing or not the one of this link",
    Verdict.IS_REQUESTER: "Somebody else must decide",
    Verdict.LINK_VOID: "This link is void after too many wrong codes",
    Verdict.INCOMPLETE: "The answer is incomplete",
    Verdict.ALREADY_VOTED: "You have voted otherwise",
    Verdict.CHANGED: "The evidence has changed since you saw it",
}
NOT_OPEN_TITLES = {
    Standing.UNKNOWN: "No such gate",
    Standing.DECIDED: "The gate is decided",
    Standing.EXPIRED: "The deadline has passed",
    Standing.SUPERSEDED: "This link is superseded by a newer one",
}
DETAILS = {
    Verdict.LINK_VOID: "Another approver's own link still decides",
    Verdict.CHANGED: "Read the evidence again, then decide on its digest",
}
READ_FIRST = (
    "GET this address with `Accept: application/json` first: the reply has `csrf` and `digest`. Send both back with "
    "`decision`, and with `code` if `code_needed` says so: the six digits in your mail."
)
TO_BE_READ_FIRST = frozenset({Verdict.MISTRUSTED, Verdict.INCOMPLETE, Verdict.CHANGED})


OVER = {
    Standing.EXPIRED: "Expired: nobody decided before the deadline",
    Standing.SUPERSEDED: "This link is from an earlier opening of the gate, or was replaced by a newer one",
}


def refuse_if_over(standing: Standing) -> None:
    """For somebody who may not see the evidence. RequestRefused: 409, 410, the link no longer decides anything."""
    if said := OVER.get(standing):
        status = NOT_OPEN_STATUS.get(standing, 409)
        raise RequestRefused(status, NOT_OPEN_TITLES[standing], f"{said}. Nothing was changed.")


def outcome_json(outcome: Outcome) -> func.HttpResponse:
    """What became of an answer; the same answer once more by the same person is no problem."""
    verdict, standing = outcome.verdict, outcome.view.standing
    status = 200 if outcome.is_repeated else OUTCOME_STATUS.get(verdict, NOT_OPEN_STATUS.get(standing, 409))
    if status >= 400:
        title = TITLES.get(verdict) or NOT_OPEN_TITLES.get(standing, "The gate is not open")
        said = outcome.message or "; ".join(outcome.changes) or DETAILS.get(verdict, title)
        then = READ_FIRST if verdict in TO_BE_READ_FIRST else "Nothing was changed."
        return problem(status, title, f"{said.removesuffix('.')}. {then}")
    return json_reply({"verdict": verdict, "message": outcome.message, **_gate_json(outcome.view)}, status)


def gate_as_json(visitor: Visitor, view: GateView) -> func.HttpResponse:
    if view.gate is None:
        return problem(404, "No such gate", "The release or its gate is gone.")
    body = {
        "standing": view.standing,
        **_gate_json(view),
        "code_needed": visitor.needs_code,
        "csrf": ports().tokens.csrf(visitor.claim, ""),
        "evidence": json.loads(view.document or b"{}"),
    }
    return json_reply(body, APPROVAL_STATUS[STATES[view.standing]])


def _gate_json(view: GateView) -> dict[str, object]:
    if view.gate is None:
        return {}
    return {
        "release_id": view.gate.release_id,
        "gate": view.gate.gate,
        "state": view.gate.state,
        "expires_at": timestamp(view.gate.expires_at),
        "digest": view.gate.digest,
        "outdated": list(view.outdated),
        "decisions": [
            {
                "by": vote.by,
                "how": vote.how,
                "decision": vote.decision,
                "at": timestamp(vote.at),
                "exclude": dict(vote.exclude),
            }
            for vote in view.gate.decisions
        ],
    }
