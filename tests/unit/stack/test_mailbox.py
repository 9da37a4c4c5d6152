"""Which mail is the one to act on, and what stands in it."""

from local.demo.mailbox import Mail, invitation

TEXT = """Registry-Approval: release {release}
Release ID: {release}
https://pipeline.example/approvals/aB-1_.x

Code: 123456
"""


def a_mail(**changes: str) -> Mail:
    """A mail that invites to decide at gate 1 of release 20251210.1."""
    release = changes.pop("release", "20251210.1")
    return Mail(
        id=changes.get("id", "1"),
        to=("ada@example.org",),
        subject=changes.get("subject", f"Please decide: Registry-Approval of release {release} (3 circuits)"),
        text=changes.get("text", TEXT.format(release=release)),
    )


def test_link_and_code_are_read_from_the_text() -> None:
    """The link ends where the token ends, the code stands on a line of its own."""
    found = invitation([a_mail()], "20251210.1", "registry-approval")
    assert found is not None
    assert (found.link, found.code) == ("https://pipeline.example/approvals/aB-1_.x", "123456")


def test_a_release_is_not_mistaken_for_one_whose_number_begins_alike() -> None:
    """Release 1 is not release 10."""
    mails = [a_mail(release="20251210.10")]
    assert invitation(mails, "20251210.1", "registry-approval") is None


def test_another_gate_s_mail_is_left_alone() -> None:
    """The mail of gate 1 does not open gate 2."""
    assert invitation([a_mail()], "20251210.1", "production-approval") is None


def test_a_mail_that_only_mentions_the_gate_is_not_about_it() -> None:
    """The mail of gate 1 tells that gate 2 will follow; its link still belongs to gate 1."""
    mail = a_mail(text=TEXT.format(release="20251210.1") + "Production-Approval follows.")
    assert invitation([mail], "20251210.1", "production-approval") is None


def test_a_mail_without_a_code_is_only_news() -> None:
    """Reminders and summaries may hold links too."""
    news = a_mail(text="Registry-Approval of release 20251210.1 https://pipeline.example/approvals/x")
    assert invitation([news], "20251210.1", "registry-approval") is None
