"""Local stack, Functions host: an emulation of Easy Auth; people sign in by choosing who they are.

As in Azure it lets anonymous requests through, takes away every principal header that a client sends, and puts its own
in front of the app for those who are signed in.
"""

import json
import secrets
from base64 import b64encode
from collections.abc import Mapping
from dataclasses import dataclass
from html import escape
from typing import Any
from urllib.parse import quote, urlsplit

from aiohttp import web
from multidict import CIMultiDict

from local.functions_host.errors import ConfigurationError

SESSION_COOKIE = "AppServiceAuthSession"
PRINCIPAL = "X-MS-CLIENT-PRINCIPAL"
OURS = (PRINCIPAL.lower(), "x-ms-token-")
NAME_CLAIM = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/emailaddress"
ROLE_CLAIM = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"
LOGIN, BACK, BACK_AFTER_LOGOUT = "/.auth/login/aad", "post_login_redirect_uri", "post_logout_redirect_uri"
PAGE = """<!doctype html>
<html lang="en"><head><meta charset="utf-8"><meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark"><title>Sign in</title><style>
body{{font:16px/1.45 system-ui,"Segoe UI",Roboto,"Liberation Sans",sans-serif;max-width:26rem;margin:0 auto;padding:2rem 1rem}}
h1{{font-size:1.5rem;margin:0 0 .4rem}} p{{margin:0 0 1rem}}
button{{display:block;width:100%;margin:0 0 .6rem;padding:.7rem 1rem;font:inherit;text-align:left;color:inherit;
background:transparent;border:1px solid #7a8794;border-radius:.5rem;cursor:pointer}}
button:hover,button:focus-visible{{outline:3px solid #2f7fd1;outline-offset:1px}} strong{{display:block}}
</style></head>
<body><main><h1>Sign in</h1><p>This stands in for Microsoft Entra ID on this machine. Choose who you are.</p>
<form method="post" action="{login}"><input type="hidden" name="{back_name}" value="{back}">
{people}</form></main></body></html>
"""
BUTTON = '<button name="person" value="{name}"><strong>{name}</strong>{roles}</button>'


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody who can sign in, with the app roles assigned to them."""

    name: str
    roles: tuple[str, ...]

    @property
    def claims(self) -> list[dict[str, str]]:
        named = [("name", self.name.partition("@")[0]), ("preferred_username", self.name), (NAME_CLAIM, self.name)]
        return [{"typ": kind, "val": value} for kind, value in (*named, *((ROLE_CLAIM, role) for role in self.roles))]

    @property
    def principal(self) -> str:
        """The header's value, as the platform writes it."""
        said = {"auth_typ": "aad", "claims": self.claims, "name_typ": NAME_CLAIM, "role_typ": ROLE_CLAIM}
        return b64encode(json.dumps(said).encode()).decode()


def parse_people(section: object) -> tuple[Person, ...]:
    """`{"People": [{"Name": …, "Roles": […]}]}` of the settings file.

    Raises:
        ConfigurationError: it is not of that form.
    """
    try:
        listed: Any = section["People"]  # type: ignore[index]  # its form is what is being checked
        people = tuple(Person(name=str(one["Name"]), roles=tuple(map(str, one.get("Roles", ())))) for one in listed)
    except (KeyError, TypeError, AttributeError) as error:
        raise ConfigurationError('Host.EasyAuth must be {"People": [{"Name": "…", "Roles": ["…"]}]}') from error
    if not people:
        raise ConfigurationError("Host.EasyAuth names nobody who could sign in")
    return people


class EasyAuth:
    """Who is signed in, by session cookie; sessions live as long as the host."""

    def __init__(self, people: tuple[Person, ...]) -> None:
        self._people = {person.name: person for person in people}
        self._sessions: dict[str, Person] = {}

    def add_routes(self, router: web.UrlDispatcher) -> None:
        router.add_get(LOGIN, self._ask)
        router.add_post(LOGIN, self._sign_in)
        router.add_get("/.auth/me", self._me)
        router.add_get("/.auth/logout", self._sign_out)
        router.add_route("*", "/.auth/{rest:.*}", self._unknown)

    def headers(self, request: web.Request) -> Mapping[str, str]:
        """What the app sees: the client's headers without forged principals, and ours if somebody is signed in."""
        kept = CIMultiDict((n, v) for n, v in request.headers.items() if not n.lower().startswith(OURS))
        if person := self._visitor(request):
            kept[PRINCIPAL] = person.principal
            kept[f"{PRINCIPAL}-NAME"] = person.name
            kept[f"{PRINCIPAL}-IDP"] = "aad"
        return kept

    def _visitor(self, request: web.Request) -> Person | None:
        return self._sessions.get(request.cookies.get(SESSION_COOKIE, ""))

    async def _ask(self, request: web.Request) -> web.Response:
        html = sign_in_page(tuple(self._people.values()), request.query.get(BACK, "/"))
        return web.Response(text=html, content_type="text/html", headers={"Cache-Control": "no-store"})

    async def _sign_in(self, request: web.Request) -> web.Response:
        form = await request.post()
        person = self._people.get(str(form.get("person", "")))
        if person is None:
            return web.Response(status=401, text="Nobody of that name can sign in here.")
        session = secrets.token_urlsafe(32)
        self._sessions[session] = person
        response = web.Response(status=302, headers={"Location": inside(str(form.get(BACK, "/")))})
        # Lax: a link in a mail opens signed in; a form on another site does not.
        response.set_cookie(SESSION_COOKIE, session, httponly=True, samesite="Lax")
        return response

    async def _me(self, request: web.Request) -> web.Response:
        person = self._visitor(request)
        if person is None:
            return web.Response(status=401)
        return web.json_response([{"provider_name": "aad", "user_id": person.name, "user_claims": person.claims}])

    async def _sign_out(self, request: web.Request) -> web.Response:
        self._sessions.pop(request.cookies.get(SESSION_COOKIE, ""), None)
        response = web.Response(
            status=302, headers={"Location": inside(request.query.get(BACK_AFTER_LOGOUT, f"{LOGIN}"))}
        )
        response.del_cookie(SESSION_COOKIE)
        return response

    async def _unknown(self, _request: web.Request) -> web.Response:
        return web.Response(status=404)


def sign_in_page(people: tuple[Person, ...], back: str) -> str:
    """One button per person; afterwards one is led back, inside the app."""
    buttons = (BUTTON.format(name=escape(one.name), roles=escape(", ".join(one.roles) or "no role")) for one in people)
    return PAGE.format(login=LOGIN, back_name=BACK, back=escape(inside(back)), people="\n".join(buttons))


def inside(address: str) -> str:
    r"""An address of this app to go back to; anything that could lead elsewhere becomes the root.

    Browsers read a backslash as a slash and drop tabs and line breaks, so `/\evil.example` leads away as well.
    """
    plain = address.isprintable() and "\\" not in address
    try:
        parts = urlsplit(address)
    except ValueError:
        return "/"
    if not plain or parts.scheme or parts.netloc or not address.startswith("/") or address.startswith("//"):
        return "/"
    return quote(address, safe="/?&=%#:@!$'()*+,;~-._[]")
