"""Twelve circuits go live although the host is killed, storage and broker are restarted, and Azure ML fails."""

import signal
from pathlib import Path

import pytest

from tests.chaos.disturbances import BROKER, HOST, STORAGE, Blow
from tests.chaos.ordeal import Plan, run

SHORT = Plan(
    circuits=12,
    seed=12,
    blows=(
        Blow(part=HOST, signal=signal.SIGKILL, pause_seconds=(2, 10), most=4),
        Blow(part=STORAGE, signal=signal.SIGTERM, pause_seconds=(8, 12), most=1),
        Blow(part=BROKER, signal=signal.SIGTERM, pause_seconds=(14, 18), most=1),
    ),
    within_seconds=300,
    faulty="^(?!mlrsharedstorage)",  # uploads to the Registry: azure-ai-ml waits 15 s before it tries one again
)


@pytest.mark.stack
@pytest.mark.timeout(420)
def test_a_release_survives_the_end_of_every_part(tmp_path: Path) -> None:
    """I1, I2, I4, I5, I8, I10: it succeeds, and the real SDKs find one of everything and nothing left over."""
    report = run(SHORT, tmp_path / "stack")
    print(report.told())
    assert report.findings == []
    assert report.blows == {HOST: 4, STORAGE: 1, BROKER: 2}
    assert report.redelivered > 0
    assert sum(report.faults.values()) > 0
