"""The way to sign-in, for pages that need to know who is there."""

from urllib.parse import quote

import azure.functions as func

from shared.bootstrap import settings
from shared.domain.errors import RequestRefused
from shared.triggers.http import is_json, page, problem, wants_json

LOGIN = "/.auth/login/aad?post_login_redirect_uri="


class SignInNeeded(Exception):
    """Entra mode, and nobody is signed in."""


def to_sign_in(req: func.HttpRequest, back: str) -> func.HttpResponse:
    """A browser is led to sign-in and back to `back`, a path of ours; a program is told.

    Raises:
        RequestRefused: 503, nobody can sign in.
    """
    if not settings().website_auth_enabled:
        detail = "APPROVAL_MODE is entra, but Easy Auth is off: nobody can be recognised. Tell the platform engineer."
        raise RequestRefused(503, "Sign-in is not set up", detail)
    if is_json(req) or wants_json(req):
        return problem(401, "Sign-in needed", f"Sign in at {LOGIN}{quote(back, safe='')} and send the session along.")
    return page("", 302, {"Location": f"{LOGIN}{quote(back, safe='')}"})
