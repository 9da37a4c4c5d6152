"""The whole HTTP API under generated requests, read from the OpenAPI document: whatever comes, nothing breaks."""

import os
from collections.abc import Mapping
from pathlib import Path

import pytest
import schemathesis
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from schemathesis import GenerationMode, checks

from shared.domain.model import GateName
from tests.support.app_host import ADA, AppHost
from tests.support.person import Person

DOCUMENT = Path(__file__).parents[3] / "shared" / "triggers" / "openapi.json"
EXAMPLES = int(os.environ.get("FUZZ_EXAMPLES", "16"))
"""Requests per operation; `make fuzz` asks for many more, and for others each time."""
REPEATABLE = "FUZZ_EXAMPLES" not in os.environ
CHECKS = [
    checks.not_a_server_error,
    checks.status_code_conformance,
    checks.content_type_conformance,
    checks.response_schema_conformance,
]
OPERATIONS = [found.ok() for found in schemathesis.openapi.from_path(str(DOCUMENT)).get_all_operations()]


@pytest.fixture(scope="module")
def known(by_link: AppHost) -> tuple[Mapping[str, str], ...]:
    """Path parameters that lead to something: gates that are open, decided and void, their releases and circuits."""
    waiting, decided, cancelled = by_link.at_gate(GateName.PRODUCTION), by_link.at_gate(), by_link.at_gate()
    ada = Person(site=by_link.url, name=ADA, headers={"x-functions-key": by_link.function_key})
    assert ada.answer(decided.link().url, "reject", code=decided.link().code).status == 303
    stop = {"reason": "not wanted", "requested_by": "tests"}
    assert ada.post_json(f"/api/releases/{cancelled.release.release_id}/cancel", stop).status == 202
    return tuple(
        {"id": gate.release.release_id, "plant": "PLANT001", "circuit": "CIRCUIT01", "token": token}
        for gate in (waiting, decided, cancelled)
        for token in (gate.link().url.rpartition("/")[2],)
    )


@pytest.mark.parametrize("operation", OPERATIONS, ids=lambda operation: operation.label)
def test_no_request_breaks_the_app(
    operation: schemathesis.APIOperation, by_link: AppHost, known: tuple[Mapping[str, str], ...]
) -> None:
    """Issue 6, point 7: no 5xx, and each reply is what the document says; half of them are about what exists."""
    as_meant, as_not_meant = (operation.as_strategy(generation_mode=mode) for mode in GenerationMode)

    @settings(
        max_examples=EXAMPLES,
        deadline=None,
        derandomize=REPEATABLE,
        database=None,
        suppress_health_check=list(HealthCheck),
    )
    @given(case=st.one_of(as_meant, as_not_meant), place=st.sampled_from((None, *known)))
    def attack(case: schemathesis.Case, place: Mapping[str, str] | None) -> None:
        if place and case.path_parameters:
            case.path_parameters |= {name: place[name] for name in case.path_parameters if name in place}
        key = {"x-functions-key": by_link.function_key}
        case.call_and_validate(base_url=by_link.url, headers=key, timeout=30, checks=CHECKS)

    attack()
