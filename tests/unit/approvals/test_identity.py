"""Unit: whom Easy Auth's header names, and that nothing in it makes anybody somebody else."""

import base64
import json
from collections.abc import Sequence

import azure.functions as func
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.triggers.identity import APPROVER, LONGEST_HEADER, Principal, asked, principal

ADA = "ada@example.org"
SIGN_IN_NAME = "http://schemas.xmlsoap.org/ws/2005/05/identity/claims/name"
ROLE = "http://schemas.microsoft.com/ws/2008/06/identity/claims/role"


def request(header: str | bytes) -> func.HttpRequest:
    text = header if isinstance(header, str) else header.decode()
    return func.HttpRequest(method="GET", url="/", headers={"X-MS-CLIENT-PRINCIPAL": text}, body=b"")


def encoded(*claims: tuple[str, str], **more: str) -> str:
    said = {"claims": [{"typ": kind, "val": value} for kind, value in claims], **more}
    return base64.b64encode(json.dumps(said).encode()).decode()


def who(*claims: tuple[str, str], **more: str) -> Principal | None:
    return principal(request(encoded(*claims, **more)), auth_enabled=True)


@pytest.mark.parametrize(
    "claims",
    [
        [("name", "Grace"), ("preferred_username", ADA), ("roles", APPROVER)],
        [("name", "Grace"), (SIGN_IN_NAME, ADA), (ROLE, APPROVER)],
        [("preferred_username", ADA), ("preferred_username", "grace@example.org"), ("roles", APPROVER)],
    ],
)
def test_the_sign_in_name_is_the_person(claims: Sequence[tuple[str, str]]) -> None:
    """By either claim that Entra has for it; of two the first, as the platform put it there."""
    found = who(*claims, name_typ=SIGN_IN_NAME, role_typ=ROLE)
    assert found == Principal(name=ADA, roles=frozenset({APPROVER}))


@pytest.mark.parametrize("more", [{}, {"name_typ": "name"}])
def test_a_display_name_is_nobody(more: dict[str, str]) -> None:
    """Everybody may choose theirs: with it a vote could be given in another's name."""
    assert who(("name", ADA), ("roles", APPROVER), **more) is None


def test_a_header_is_worth_nothing_while_easy_auth_is_off() -> None:
    """Nothing takes a forged one away there."""
    header = encoded(("preferred_username", ADA), ("roles", APPROVER))
    assert principal(request(header), auth_enabled=True) is not None
    assert principal(request(header), auth_enabled=False) is None


@given(st.one_of(st.text(max_size=200), st.binary(max_size=200).map(lambda raw: base64.b64encode(raw).decode())))
def test_whatever_else_the_header_holds_names_nobody(header: str) -> None:
    """And raises nothing."""
    assert principal(request(header), auth_enabled=True) is None


@pytest.mark.parametrize("said", [[], {}, {"claims": 7}, {"claims": [{"typ": "x"}]}, {"claims": ["x"]}, None, "x"])
def test_json_of_another_shape_names_nobody(said: object) -> None:
    """Lists, numbers, claims without a value."""
    header = base64.b64encode(json.dumps(said).encode())
    assert principal(request(header), auth_enabled=True) is None


def test_a_header_longer_than_any_real_one_is_not_read() -> None:
    """The platform's own limit is far below."""
    assert who(("preferred_username", ADA), ("padding", "x" * LONGEST_HEADER)) is None


@pytest.mark.parametrize(
    ("signed_in", "claimed", "by", "reason"),
    [
        ("", "", "function key, gave no name", "why"),
        ("", ADA, f"function key, claims to be {ADA}", "why"),
        (ADA, "", ADA, "why"),
        (ADA, f" <{ADA.upper()}>", ADA, "why"),
        (ADA, "grace@example.org", ADA, "(claims to be grace@example.org) why"),
    ],
)
def test_what_the_history_says_of_a_call(signed_in: str, claimed: str, by: str, reason: str) -> None:
    """Retry, cancel, holds, rollbacks, drift, mails: a person by sign-in, anything else as a claim."""
    told = asked(signed_in, claimed=claimed, reason="why")
    assert (told.by, told.reason) == (by, reason)
