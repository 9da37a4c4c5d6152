"""Settings of the smoke test reach the releases that start under them."""

import json

import pytest
from pydantic import ValidationError

from shared.config import Settings
from shared.domain.policy import FROM_INVOCATION, FROM_RUNNING, policy_from_json


def test_the_clock_of_a_smoke_job_is_frozen_into_the_release(monkeypatch: pytest.MonkeyPatch) -> None:
    """D8: from the invocation unless set otherwise; a release keeps what held when it started."""
    monkeypatch.delenv("SMOKE_TEST_CLOCK", raising=False)
    assert Settings().policy().smoke_clock == FROM_INVOCATION
    monkeypatch.setenv("SMOKE_TEST_CLOCK", "running")
    monkeypatch.setenv("SMOKE_QUEUE_LIMIT_SECONDS", "1200")
    policy = Settings().policy()
    assert (policy.smoke_clock, policy.smoke_queue_limit.total_seconds()) == (FROM_RUNNING, 1200)
    assert policy_from_json(json.loads(json.dumps(policy.as_json()))) == policy


def test_a_clock_that_does_not_exist_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    """A misspelt value must not quietly mean the default."""
    monkeypatch.setenv("SMOKE_TEST_CLOCK", "runing")
    with pytest.raises(ValidationError, match=r"(?i)smoke_test_clock"):
        Settings()
