"""Unit: how approvals are set up; what can't work, or is less safe than it looks, does not start."""

import pytest
from pydantic import ValidationError

from shared.config import Settings

LINK = {"APPROVAL_MODE": "link", "ALLOW_LINK_APPROVALS": "true"}


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of this machine's environment."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


def settings(monkeypatch: pytest.MonkeyPatch, **values: str) -> Settings:
    for name, value in values.items():
        monkeypatch.setenv(name, value)
    return Settings()


def test_sign_in_is_the_default_and_links_have_to_be_allowed(monkeypatch: pytest.MonkeyPatch) -> None:
    """Issue 6, point 3: a link identifies a mailbox, so nobody gets link mode without saying so."""
    assert settings(monkeypatch).approval_mode == "entra"
    with pytest.raises(ValidationError, match="APPROVAL_MODE=link needs ALLOW_LINK_APPROVALS=true"):
        settings(monkeypatch, APPROVAL_MODE="link")
    assert settings(monkeypatch, **LINK).approval_mode == "link"


def test_a_quorum_that_nobody_can_reach_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Else every gate would wait for a day and expire; names are counted, not entries."""
    with pytest.raises(ValidationError, match="MIN_APPROVERS=2 can't be reached: APPROVERS names 1 people"):
        settings(monkeypatch, **LINK, MIN_APPROVERS="2", APPROVERS="ada@example.org, ADA@example.org")
    assert settings(monkeypatch, APPROVERS="ada@example.org,grace@example.org").min_approvers == 2
    # Where people sign in, the role says who approves, not the list of those who get mails.
    assert settings(monkeypatch, APPROVAL_MODE="entra", MIN_APPROVERS="3").min_approvers == 3


def test_a_signing_key_that_can_be_guessed_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each of them, for the older ones still open gates."""
    with pytest.raises(ValidationError, match="at least 32 characters"):
        settings(monkeypatch, LINK_SIGNING_KEYS=f"{'x' * 40},short")
    assert len(settings(monkeypatch, LINK_SIGNING_KEYS=f"{'x' * 40}, {'y' * 40}").link_signing_keys) == 2
