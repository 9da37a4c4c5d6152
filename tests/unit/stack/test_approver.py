"""AUTO=1 decides as a browser would: page, form, code from the mail, redirect."""

import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.parse import parse_qs

import pytest

from local.demo.approver import ApprovalError, decide
from local.demo.mailbox import Invitation, Mail

PAGE = """<form method="post"><input type="hidden" name="digest" value="d1">
<input type="hidden" name="csrf" value="{csrf}"><input type="radio" name="decision" value="approve">
<textarea name="comment"></textarea><input name="code"><button>Send</button></form>"""


class Page(ThreadingHTTPServer):
    """An approval page that remembers what was sent to it."""

    def __init__(self, page: str = PAGE) -> None:
        super().__init__(("127.0.0.1", 0), Answers)
        self.page = page
        self.posts: list[tuple[dict[str, str], dict[str, str]]] = []

    @property
    def link(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/approvals/token-1"


class Answers(BaseHTTPRequestHandler):
    """GET sets a cookie and shows the form; POST remembers and redirects back."""

    server: Page

    def do_GET(self) -> None:
        body = self.server.page.format(csrf="c1").encode()
        self.send_response(200)
        self.send_header("Set-Cookie", "seen=yes; Path=/; HttpOnly")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        fields = {name: values[0] for name, values in parse_qs(body).items()}
        self.server.posts.append((dict(self.headers.items()), fields))
        self.send_response(303 if fields["code"] == "123456" else 403)
        self.send_header("Location", self.path)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002
        """Tests read what was sent, not a log."""


@pytest.fixture
def page() -> Iterator[Page]:
    """A running approval page."""
    server = Page()
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def invited(link: str, code: str = "123456") -> Invitation:
    """What a mail asked for."""
    return Invitation(mail=Mail(id="1", to=("ada@example.org",), subject="", text=""), link=link, code=code)


def test_the_form_goes_back_with_its_hidden_fields_the_decision_and_the_code(page: Page) -> None:
    """Nothing that the page gave is lost, and the person's three answers are added."""
    decide(invited(page.link), "reject", "look at CIRCUIT02")
    ((headers, fields),) = page.posts
    assert fields == {
        "digest": "d1",
        "csrf": "c1",
        "decision": "reject",
        "comment": "look at CIRCUIT02",
        "code": "123456",
    }
    assert headers["Origin"] == f"http://127.0.0.1:{page.server_port}"
    assert headers["Sec-Fetch-Site"] == "same-origin"
    assert headers["Cookie"] == "seen=yes"


def test_a_refused_decision_is_an_error_with_the_status(page: Page) -> None:
    """A wrong code must not pass for a decision."""
    with pytest.raises(ApprovalError, match="403"):
        decide(invited(page.link, code="999999"), "approve", "")


def test_a_page_without_the_form_is_an_error_that_names_the_fields(page: Page) -> None:
    """A page that only tells something cannot be answered."""
    page.page = "<p>already decided</p>"
    with pytest.raises(ApprovalError, match="csrf"):
        decide(invited(page.link), "approve", "")
    assert not page.posts
