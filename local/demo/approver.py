"""AUTO=1: decides at the gates as a person would - reads the mail, opens the page, sends its form with the code."""

from dataclasses import dataclass, field
from urllib.parse import urlencode, urljoin, urlsplit

from local.demo.access import asks_who, sign_in
from local.demo.forms import Form, post_forms
from local.demo.http import Http, Reply
from local.demo.mailbox import Invitation, Mailbox, invitation
from local.demo.releases import Release
from local.demo.scenarios import Story, decision_for


class ApprovalError(Exception):
    """The mail, the page or the reply is not what a person needs to decide."""


@dataclass(slots=True, kw_only=True)
class Approver:
    """Answers each gate of one release once."""

    mailbox: Mailbox
    story: Story
    answered: set[str] = field(default_factory=set)

    def look_at(self, release: Release) -> str | None:
        """Decide at a gate that waits, if its mail has come; returns what was done.

        Raises:
            ApprovalError: the page could not be used, or refused the decision.
        """
        for gate in release["gates"]:
            if gate["state"] != "open" or gate["gate"] in self.answered:
                continue
            mails, with_code = self.mailbox.mails(), self.mailbox.has_codes
            found = invitation(mails, release["release_id"], gate["gate"], with_code=with_code)
            if found is None:
                return None
            decision, comment = decision_for(self.story, gate["gate"])
            decide(found, decision, comment)
            self.answered.add(gate["gate"])
            how = "with the link and code mailed to" if with_code else "by the mailed link, signed in as"
            return f"{gate['gate']}: {decision} sent {how} {', '.join(found.mail.to)}"
        return None


def decide(found: Invitation, decision: str, comment: str) -> Reply:
    """Open the link, sign in if it leads there, fill the page's form, send it, follow the redirect.

    Raises:
        ApprovalError: no usable page or form, or the app refused.
    """
    browser = Http({"Accept": "text/html"})
    page = browser.get(found.link)
    if asks_who(page):
        page = sign_in(browser, page.url, found.mail.to[0], back=urlsplit(found.link).path)
    if page.status != 200:
        raise ApprovalError(f"the approval page answered {page.status}: {page.text[:400]}")
    form = _decision_form(page)
    code = {"code": found.code} if "code" in form.names else {}
    fields = form.fields | {"decision": decision, "comment": comment, **code}
    target = urljoin(page.url, form.action)
    reply = browser.post(
        target,
        urlencode(fields).encode(),
        {
            "Content-Type": "application/x-www-form-urlencoded",
            "Origin": "{0.scheme}://{0.netloc}".format(urlsplit(target)),
            "Sec-Fetch-Site": "same-origin",
            "Referer": page.url,
        },
    )
    if reply.status != 200:
        raise ApprovalError(f"the decision was answered {reply.status}: {reply.text[:400]}")
    return reply


def _decision_form(page: Reply) -> Form:
    needed = {"decision", "comment", "digest", "csrf"}
    for form in post_forms(page.text):
        if needed <= form.names:
            return form
    raise ApprovalError(f"the approval page has no form with the fields {', '.join(sorted(needed))}")
