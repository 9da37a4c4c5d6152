"""A person with a browser: keeps cookies, follows nothing by itself, fills in the form of the page."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from http.cookies import SimpleCookie
from urllib.parse import urlencode

from local.demo.forms import post_forms
from tests.support.wire import WireReply, exchange

FORM = "application/x-www-form-urlencoded"


@dataclass(slots=True, kw_only=True)
class Person:
    """One browser at one site."""

    site: str
    name: str = ""
    cookies: dict[str, str] = field(default_factory=dict)
    headers: Mapping[str, str] = field(default_factory=dict)
    """What this one sends with everything, such as a forged principal."""

    def get(self, address: str, *, accept: str = "text/html") -> WireReply:
        return self._exchange("GET", address, None, {"Accept": accept})

    def post(self, address: str, fields: Mapping[str, str], **headers: str) -> WireReply:
        """A form of the site itself, unless `Origin` says otherwise."""
        sent = {"Content-Type": FORM, "Origin": self.site, **headers}
        return self._exchange("POST", address, urlencode(fields).encode(), sent)

    def post_json(self, address: str, body: Mapping[str, object]) -> WireReply:
        return self._exchange("POST", address, json.dumps(body).encode(), {"Content-Type": "application/json"})

    def sign_in(self) -> WireReply:
        """By the sign-in page, as the person whose name this is."""
        return self.post("/.auth/login/aad", {"person": self.name, "post_login_redirect_uri": "/"})

    def answer(self, address: str, decision: str = "approve", **fields: str) -> WireReply:
        """Open the page, fill in its form, send it."""
        page = self.get(address)
        assert page.status == 200, page.text[:300]
        (form,) = post_forms(page.text)
        return self.post(address, {**form.fields, "decision": decision, "comment": "Looked at.", **fields})

    def _exchange(self, method: str, address: str, body: bytes | None, headers: Mapping[str, str]) -> WireReply:
        url = address if address.startswith("http") else f"{self.site}{address}"
        cookie = "; ".join(f"{name}={value}" for name, value in self.cookies.items())
        sent = {**headers, **({"Cookie": cookie} if cookie else {}), **self.headers}
        reply = exchange(method, url, body, sent)
        for line in reply.headers.get_all("Set-Cookie") or ():
            self.cookies |= {name: morsel.value for name, morsel in SimpleCookie(line).items()}
        return reply
