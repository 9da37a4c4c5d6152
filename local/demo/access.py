"""How the demo reaches the app: with the function key, and signed in where the stack asks for it."""

from pathlib import Path
from urllib.parse import urlencode, urlsplit

from local.demo.http import Http, Reply
from local.stack.approvals import OPERATOR, Approvals
from local.stack.description import Stack

LOGIN = "/.auth/login/aad"
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


def api(stack: Stack) -> Http:
    """A client of the HTTP API, as an operator."""
    http = Http({"x-functions-key": stack.function_key})
    if stack.approvals == Approvals.ENTRA:
        sign_in(http, f"{stack.app_url}{LOGIN}", OPERATOR, back="/api/health")
    return http


def key_flags(stack: Stack) -> str:
    """What curl needs to call the API; where people sign in, the session that `sign_in_call` leaves as well."""
    key = f"-H 'x-functions-key: {stack.function_key}'"
    return f"-b {_jar(stack)} {key}" if stack.approvals == Approvals.ENTRA else key


def sign_in_call(stack: Stack) -> str:
    """The curl command by which the operator signs in."""
    return f"curl -c {_jar(stack)} -d person={OPERATOR} {stack.app_url}{LOGIN}"


def _jar(stack: Stack) -> Path:
    return Path(stack.logs).parent / "session.txt"


def asks_who(page: Reply) -> bool:
    """Did an address lead to the sign-in page?"""
    return urlsplit(page.url).path == LOGIN


def sign_in(http: Http, address: str, person: str, *, back: str) -> Reply:
    """Choose a person on the sign-in page; the reply is the page behind it. The client keeps the session's cookie.

    Raises:
        RuntimeError: nobody of that name can sign in.
    """
    reply = http.post(address, urlencode({"person": person, "post_login_redirect_uri": back}).encode(), FORM)
    if reply.status == 401:
        raise RuntimeError(f"{person} can't sign in at {address}: {reply.text[:300]}")
    return reply
