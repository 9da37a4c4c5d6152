"""Unit: whatever stands in a queue ends visible and changes nothing (issue 5.8)."""

import pytest

from shared.application.dead_letters import DeadLetters
from shared.application.messages import parse_message
from shared.domain.commands import SendNotice
from shared.domain.errors import PipelineError
from tests.support.builders import OTHER_CIRCUIT, a_release, a_run
from tests.support.pipeline_world import PipelineWorld
from tests.support.poison import broken, kinds, noise

LONGEST_LINE = 2_000
"""Of a log record, fields and all, about a message of 200 KB."""
KINDS = kinds(a_run(poll_n=9))


@pytest.fixture
def working(world: PipelineWorld) -> PipelineWorld:
    """Two circuits under inspection, one at its second look."""
    world.put(a_release(total=2), a_run(poll_n=1), a_run(OTHER_CIRCUIT))
    return world


def test_noise_is_refused_told_in_a_line_and_over(working: PipelineWorld, caplog: pytest.LogCaptureFixture) -> None:
    """Ten deliveries, then one as a dead letter, which completes."""
    for told, body in noise():
        assert deliveries(working, body) == 11, told
        assert [record.__dict__["action"] for record in caplog.records] == ["dead_letter_unreadable"], told
        assert longest_line(caplog) < LONGEST_LINE, told
        caplog.clear()


@pytest.mark.parametrize("kind", KINDS)
def test_a_message_with_anything_wrong_ends_is_told_and_touches_no_circuit(
    working: PipelineWorld, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Fields missing, of another type, or of 200 KB; another version, generation or release."""
    caplog.set_level("INFO")
    rows = [working.release(), *working.runs()]

    for told, body in broken(KINDS[kind]):
        deliveries(working, body)

        assert [working.release(), *working.runs()] == rows, told
        assert_nothing_comes_again(working, told)
        assert [record for record in caplog.records if "action" in record.__dict__], f"{told}: nothing was logged"
        assert longest_line(caplog) < LONGEST_LINE, told
        caplog.clear()


def deliveries(world: PipelineWorld, body: bytes) -> int:
    """What the host does: ten tries, then the dead-letter queue, once."""
    for delivery in range(1, 11):
        try:
            world.handle(parse_message(body), redelivered=delivery > 1)
        except PipelineError:
            continue
        return delivery
    DeadLetters(world.ports).handle(body, "MaxDeliveryCountExceeded")
    return 11


def assert_nothing_comes_again(world: PipelineWorld, told: str) -> None:
    """But the mail to operators about an artifact that is none."""
    waiting = [c for c in world.waiting() if not (isinstance(c, SendNotice) and c.release_id.startswith("invalid-"))]
    world.lose_messages()
    assert waiting == [], told


def longest_line(caplog: pytest.LogCaptureFixture) -> int:
    return max(len(str(record.__dict__)) for record in caplog.records)
