"""Thousands of circuits in one release: what they cost the tables and the bus, and how large pages and mails become.

Real tables and blobs (Azurite), the real broker, the app's own use cases, adapters and messages; Azure ML answers at once
at the port, so that what is measured is the pipeline and not the models.

Per number of circuits it prints what was asked of the tables, how many messages were sent, how often the release's row
was written at the same time, how many pages the fan-outs took, and how large pages and mails become. Goals: requests and
messages per circuit are the same for every number (within 5 %), at most ten conflicts on the release's row.

    python -m benchmarks.scale_at_the_port [--circuits 10 100 1000 5000] [--json FILE]
"""

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import cast

from benchmarks.scale_counters import Tally
from benchmarks.scale_told import Measured, missed, told
from benchmarks.scale_world import POLICY, Hands, World, a_world, circuit
from shared.application.gates import Answer, Gates
from shared.application.intake import Intake
from shared.application.queries import Queries
from shared.application.views import ApprovalState, ApprovalView
from shared.domain.model import TERMINAL_RELEASE_PHASES, GateName, GateState, Moment, Release, ReleasePhase
from shared.domain.naming import model_name
from shared.pages import render_approval, render_release
from tests.support.azurite import Account, running_azurite
from tests.support.broker import Broker, running_broker
from tests.support.fake_models import FakeModels
from tests.support.pipeline_world import artifact, artifact_path, dev_tags

RELEASE_ID, BUILD = "20251210.1", "12345"
LOOK_SECONDS = 1.0
ENDS_WITHIN_SECONDS = 4 * 3600
GATES = {
    ReleasePhase.AWAITING_REGISTRY_APPROVAL: GateName.REGISTRY,
    ReleasePhase.AWAITING_PRODUCTION_APPROVAL: GateName.PRODUCTION,
}


def measure(circuits: int, account: Account, broker: Broker) -> Measured:
    """One release, from the upload to its last mail."""
    everybody = [circuit(n) for n in range(circuits)]
    with a_world(account, broker) as world:
        models = cast("FakeModels", world.ports.models)
        for one in everybody:
            models.add_smoke_input(one)
            models.add_dev_model(model_name(one), "1", dev_tags(one, build=BUILD))
        began = time.monotonic()
        world.ports.slots.slots(POLICY.smoke_slots)  # made once for all releases, by whoever comes first
        world.tally.requests.clear()
        with Hands(world, broker) as hands:
            with world.tally.doing("intake"):
                Intake(world.ports).from_artifact(artifact_path(RELEASE_ID, BUILD), artifact(everybody))
            pages = _follow(world, circuits, began)
            seconds = time.monotonic() - began
            _until_told(world)
        return _measured(circuits, world, seconds, pages, hands.errors)


def _follow(world: World, circuits: int, began: float) -> dict[str, str]:
    """Approve both gates, and tell what each phase has cost when it is over; returns the pages by name."""
    pages: dict[str, str] = {}
    phase = ReleasePhase.INSPECTING
    deadline = time.monotonic() + ENDS_WITHIN_SECONDS
    while time.monotonic() < deadline:
        release = _release(world)
        if release.phase is not phase:
            print(f"  {time.monotonic() - began:6.0f} s  {phase} is over; {_so_far(world.tally, circuits)}", flush=True)
            phase = release.phase
        if phase in TERMINAL_RELEASE_PHASES:
            return pages | {"release": render_release(Queries(world.ports).release_view(RELEASE_ID))}
        if phase in GATES and GATES[phase] not in pages:
            pages[GATES[phase]] = _approve(world, release, GATES[phase])
        time.sleep(LOOK_SECONDS)
    raise SystemExit(f"not ended: {_release(world).phase}")


def _so_far(tally: Tally, circuits: int) -> str:
    """Since the upload; at a gate nothing else is under way, elsewhere a few of the next phase's are counted too."""
    requests, messages = tally.requests_for("circuit") / circuits, tally.messages["circuit"] / circuits
    return f"so far {requests:.1f} table requests and {messages:.1f} messages per circuit"


def _release(world: World) -> Release:
    stored = world.looks.release(RELEASE_ID)
    assert stored is not None
    return stored.row


def _approve(world: World, release: Release, gate: GateName) -> str:
    """Answers, and returns the page that the approver saw."""
    found = world.looks.release_and_gate(release.release_id, gate)
    assert found is not None
    assert found[1] is not None
    row, tokens = found[1].row, world.ports.tokens
    assert row.state is GateState.OPEN
    claim = tokens.read(tokens.link(row, "ann@example.com").url.rpartition("/")[2])
    assert claim is not None
    with world.tally.doing("gate"):
        document = Gates(world.ports).view(claim).document
        answer = Answer(decision="approve", comment="Looked at.", digest=row.digest, code=tokens.code(claim))
        Gates(world.ports).decide(claim, answer, by=claim.recipient, how="by a link", needs_code=True)
    view = ApprovalView(
        state=ApprovalState.OPEN,
        release=release,
        gate=row,
        evidence=json.loads(document or b"{}"),
        now=world.ports.clock.now(),
        recipient=claim.recipient,
        code_needed=True,
        csrf="0" * 64,
        view_url="https://releases.example.com/releases/20251210.1?t=0",
    )
    return render_approval(view)


def _sizes(page: str) -> tuple[int, int]:
    return len(page.encode()), len(page.partition("<details")[0].encode())


def _until_told(world: World) -> None:
    """The mails about the end are part of the release."""
    deadline = time.monotonic() + 600
    while Moment.RELEASE_SUCCEEDED not in world.inbox.sizes and time.monotonic() < deadline:
        time.sleep(LOOK_SECONDS)


def _measured(circuits: int, world: World, seconds: float, pages: dict[str, str], errors: Sequence[str]) -> Measured:
    release, tally, inbox = _release(world), world.tally, world.inbox
    moments = [(entry.at, entry.target) for entry in release.hist]
    rounds = {
        target: round((after - at).total_seconds(), 1) for (at, target), (after, _) in itertools.pairwise(moments)
    }
    return Measured(
        circuits=circuits,
        phase=str(release.phase),
        seconds=round(seconds, 1),
        rounds=rounds,
        circuit_requests=round(tally.requests_for("circuit") / circuits, 2),
        all_requests=round(sum(tally.requests.values()) / circuits, 2),
        circuit_messages=round(tally.messages["circuit"] / circuits, 2),
        all_messages=round(tally.messages.total() / circuits, 2),
        fan_outs=tally.messages["fan-out"],
        release_conflicts=tally.conflicts["release"],
        circuit_conflicts=tally.conflicts["circuit"],
        pages={str(name): _sizes(page) for name, page in pages.items()},
        gate_mail=inbox.sizes.get(Moment.GATE_OPENED, 0),
        summary_mail=inbox.sizes.get(Moment.RELEASE_SUCCEEDED, 0),
        summary_mail_lines=inbox.lines.get(Moment.RELEASE_SUCCEEDED, 0),
        errors=errors,
    )


def main() -> int:
    """1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--circuits", type=int, nargs="+", default=[10, 100, 1000, 5000])
    parser.add_argument("--json", type=Path, help="where to write the numbers as well")
    asked = parser.parse_args()
    found: list[Measured] = []
    with tempfile.TemporaryDirectory(prefix="scale-") as scratch:
        for number in asked.circuits:
            place = Path(scratch) / str(number)
            place.mkdir()
            with running_azurite(place / "azurite.log") as azurite, running_broker(place) as broker:
                found.append(measure(number, azurite.account(), broker))
            print(told(found[-1]), flush=True)
    if asked.json:
        asked.json.write_text(json.dumps([asdict(one) for one in found], indent=1), encoding="utf-8")
    problems = missed(found)
    print("\n".join(["goals missed:", *problems]) if problems else "all goals met")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
