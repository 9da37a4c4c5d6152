"""Links people can't forge, and codes that can't be told from them."""

import re
import string
from dataclasses import replace
from datetime import timedelta

import pytest

from shared.adapters.gate_tokens import SignedGateTokens
from shared.application.ports import ViewClaim
from shared.domain.errors import ConfigurationError
from shared.domain.model import GateName
from tests.support.release_samples import APPROVER, a_gate

BASE64 = string.ascii_uppercase + string.ascii_lowercase + string.digits + "-_"
OLD, NEW, OTHER = "old-key-" + "x" * 32, "new-key-" + "y" * 32, "other-key-" + "z" * 32


def tokens_of(*keys: str, max_age: timedelta = timedelta(days=2)) -> SignedGateTokens:
    return SignedGateTokens(keys=keys, public_url="https://releases.example.com/", max_age=max_age)


def token_in(url: str) -> str:
    return url.removeprefix("https://releases.example.com/approvals/")


def test_a_link_reads_back_as_what_it_was_made_for() -> None:
    """Release, gate, opening and recipient survive the way through a mail."""
    tokens = tokens_of(NEW)
    claim = tokens.read(token_in(tokens.link(a_gate(GateName.PRODUCTION), APPROVER).url))
    assert claim is not None
    assert (claim.release_id, claim.gate, claim.nonce, claim.recipient) == (
        "20251210.1",
        GateName.PRODUCTION,
        "5f3e9a",
        APPROVER,
    )


def test_a_link_is_one_path_segment_that_mail_programs_keep_whole() -> None:
    """Letters, digits, dots, dashes and underscores only."""
    assert re.fullmatch(r"[A-Za-z0-9._-]+", token_in(tokens_of(NEW).link(a_gate(), APPROVER).url))


@pytest.mark.parametrize("position", [0, 10, 40, -10, -1])
def test_a_token_with_one_changed_character_is_refused(position: int) -> None:
    """Anywhere: in what it says, in its time, in its signature."""
    token = token_in(tokens_of(NEW).link(a_gate(), APPROVER).url)
    at = position % len(token)
    # The highest bit of a base64 digit always counts; the lowest ones of the last digit may be padding.
    other = BASE64[(BASE64.find(token[at]) ^ 32) % 64]
    forged = token[:at] + other + token[at + 1 :]
    assert tokens_of(NEW).read(forged) is None


@pytest.mark.parametrize("text", ["", ".", "a.b.c", "ä" * 20, "x" * 100_000, "\x00", "../../etc"])
def test_what_never_was_a_token_is_refused(text: str) -> None:
    """Broken and over-long input says nothing and raises nothing."""
    assert tokens_of(NEW).read(text) is None
    assert tokens_of(NEW).read_view(text) is None


def test_every_truncation_of_a_token_is_refused() -> None:
    """A mail program that cuts a link gives an error, not somebody else's gate."""
    token = token_in(tokens_of(NEW).link(a_gate(), APPROVER).url)
    assert [cut for cut in range(len(token)) if tokens_of(NEW).read(token[:cut]) is not None] == []


def test_a_token_signed_with_another_key_is_refused() -> None:
    """Somebody who knows the format but no key gets nowhere."""
    assert tokens_of(NEW).read(token_in(tokens_of(OTHER).link(a_gate(), APPROVER).url)) is None


def test_a_view_link_does_not_approve_and_an_approval_link_is_no_view_link() -> None:
    """Purposes do not mix."""
    tokens = tokens_of(NEW)
    view = tokens.view_url("20251210.1").split("?view=")[1]
    approval = token_in(tokens.link(a_gate(), APPROVER).url)
    assert (tokens.read_view(view), tokens.read(view)) == (ViewClaim(release_id="20251210.1"), None)
    assert tokens.read_view(approval) is None


def test_a_readers_own_link_says_whose_it_is_and_can_not_be_made_of_another() -> None:
    """What opens all pages to read is signed as such: neither the place nor the reader can be put in."""
    tokens = tokens_of(NEW)
    own = tokens.view_url("20251210.1", APPROVER).split("?view=")[1]
    assert tokens.read_view(own) == ViewClaim(release_id="20251210.1", reader=APPROVER)
    assert tokens.read(own) is None
    assert tokens.read_rollback(own) is None
    said, _, signature = tokens.view_url("20251210.1").split("?view=")[1].partition(".")
    assert tokens.read_view(f"{own.partition('.')[0]}.{signature}") is None
    assert tokens.read_view(f"{said}.{own.partition('.')[2]}") is None
    assert tokens_of(NEW, max_age=timedelta(seconds=-1)).read_view(own) is None, "as old as any other link may get"


def test_links_and_codes_survive_a_key_rotation() -> None:
    """Adding a key must not lock out those who hold a mail already."""
    link = tokens_of(OLD).link(a_gate(), APPROVER)
    rotated = tokens_of(OLD, NEW)
    claim = rotated.read(token_in(link.url))
    assert claim is not None
    assert rotated.code(claim) == link.code


def test_the_newest_key_signs() -> None:
    """After a rotation, new links need the new key only."""
    link = tokens_of(OLD, NEW).link(a_gate(), APPROVER)
    assert tokens_of(NEW).read(token_in(link.url)) is not None
    assert tokens_of(OLD).read(token_in(link.url)) is None


def test_a_link_older_than_the_limit_is_refused() -> None:
    """The row's deadline decides; this only bounds how long a signature counts at all."""
    made, late = tokens_of(NEW), tokens_of(NEW, max_age=timedelta(seconds=-1))
    assert late.read(token_in(made.link(a_gate(), APPROVER).url)) is None
    assert late.read_view(made.view_url("20251210.1").partition("=")[2]) is None
    assert late.read_rollback(made.rollback_link("20251210.1", APPROVER).url.partition("=")[2]) is None


def test_the_code_is_six_digits_and_the_same_in_every_repeated_mail() -> None:
    """A mail that is sent twice shows the same code."""
    first, again = (tokens_of(NEW).link(a_gate(), APPROVER).code for _ in range(2))
    assert re.fullmatch(r"\d{6}", first)
    assert first == again


def test_the_code_is_another_for_another_person_or_opening() -> None:
    """Codes are not shared among approvers, nor do they outlive a gate's opening."""
    tokens = tokens_of(NEW)
    codes = {
        tokens.link(a_gate(), APPROVER).code,
        tokens.link(a_gate(), "otto@example.com").code,
        tokens.link(a_gate(nonce="another"), APPROVER).code,
        tokens_of(OTHER).link(a_gate(), APPROVER).code,
    }
    assert len(codes) == 4


def test_the_code_stands_nowhere_in_the_link() -> None:
    """Whoever sees the address alone can't decide."""
    link = tokens_of(NEW).link(a_gate(), APPROVER)
    assert link.code not in link.url


def test_the_form_token_is_bound_to_cookie_person_and_opening() -> None:
    """Change any one of them and it no longer fits."""
    tokens = tokens_of(NEW)
    claim = tokens.read(token_in(tokens.link(a_gate(), APPROVER).url))
    assert claim is not None
    one = tokens.csrf(claim, "cookie")
    others = {
        tokens.csrf(claim, "another cookie"),
        tokens.csrf(replace(claim, nonce="another"), "cookie"),
        tokens.csrf(replace(claim, recipient="otto@example.com"), "cookie"),
    }
    assert one == tokens.csrf(claim, "cookie")
    assert one not in others
    assert len(others) == 3


def test_without_keys_nothing_is_signed() -> None:
    """An empty setting is said at start, by its name."""
    with pytest.raises(ConfigurationError, match="LINK_SIGNING_KEYS"):
        tokens_of()
