"""Thousands of circuits in one release, in memory: how often the app asks its ports, and how large pages and mails become.

The app's own use cases over the ports' fakes, in virtual time, one message after the other; Azure ML answers at once.
What it shows is the app's side alone: each call of a state port is a request to Table Storage, as the contract tests
count them. Conflicts, Azurite and the broker are what `scale_at_the_port` is for; this one takes minutes where that
takes an hour.

    python -m benchmarks.scale_in_memory [--circuits 10 100 1000 5000]
"""

import argparse
import json
import sys
import time
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

from benchmarks.scale_told import LARGEST_DIFFERENCE
from benchmarks.scale_world import POLICY, circuit
from shared.adapters.email.message import mime_message
from shared.application.gates import Gates
from shared.application.ports import EndpointStore, ReleaseStore, Sendable, SlotStore
from shared.application.queries import Queries
from shared.application.views import ApprovalState, ApprovalView
from shared.domain.commands import RunStep
from shared.domain.model import GateName, Moment, ReleasePhase
from shared.pages import render_approval, render_release
from shared.pages.mails import render_mail
from tests.support.builders import RELEASE_ID
from tests.support.circuit_world import ESTATE
from tests.support.pipeline_world import PipelineWorld

AT_A_TIME = 10_000
"""Messages of one stretch; the world gives up beyond twice as many."""
GATES = {
    ReleasePhase.AWAITING_REGISTRY_APPROVAL: GateName.REGISTRY,
    ReleasePhase.AWAITING_PRODUCTION_APPROVAL: GateName.PRODUCTION,
}


class Asked:
    """A state port that counts what is asked while a message about a circuit is handled, and while any other is."""

    about = "else"

    def __init__(self, port: object, counted: Counter[str]) -> None:
        self._port, self._counted = port, counted

    def __getattr__(self, name: str) -> Any:
        method: Callable[..., Any] = getattr(self._port, name)

        def ask(*args: Any, **named: Any) -> Any:
            self._counted[Asked.about] += 1
            return method(*args, **named)

        return ask


class Counting(PipelineWorld):
    """Counts requests and messages."""

    def __init__(self) -> None:
        super().__init__(policy=POLICY, approvers=("ann@example.com",))
        self.requests: Counter[str] = Counter()
        self.messages: Counter[str] = Counter()
        self.ports = replace(
            self.ports,
            releases=cast("ReleaseStore", Asked(self.releases, self.requests)),
            endpoints=cast("EndpointStore", Asked(self.endpoints, self.requests)),
            slots=cast("SlotStore", Asked(self.slots, self.requests)),
        )

    def handle(self, command: Sendable, *, redelivered: bool = False) -> None:
        Asked.about = "circuit" if isinstance(command, RunStep) else "else"
        self.messages[Asked.about] += 1
        super().handle(command, redelivered=redelivered)
        Asked.about = "else"


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    circuits: int
    phase: str
    seconds: float
    requests: float
    """Per circuit, while messages about it were handled."""
    messages: float
    pages: Sequence[str]
    """Bytes of all of it, and of what stands before the first fold."""
    mails: Sequence[str]


def measure(circuits: int) -> Measured:
    """One release, from its upload to its last mail."""
    began, world, pages = time.monotonic(), Counting(), []
    world.start(RELEASE_ID, *(circuit(n) for n in range(circuits)))
    while world.phase() not in {ReleasePhase.SUCCEEDED, ReleasePhase.FAILED}:
        handled = world.messages.total()
        world.run(lambda: world.messages.total() - handled >= AT_A_TIME or world.phase() in GATES)  # noqa: B023
        if world.phase() in GATES:
            world.run()  # the mails about it
            pages.append(told_size(str(GATES[world.phase()]), gate_page(world, GATES[world.phase()])))
            world.answer(GATES[world.phase()])
    world.run()
    pages.append(told_size("release", render_release(Queries(world.ports).release_view(RELEASE_ID))))
    return Measured(
        circuits=circuits,
        phase=str(world.phase()),
        seconds=round(time.monotonic() - began, 1),
        requests=round(world.requests["circuit"] / circuits, 2),
        messages=round(world.messages["circuit"] / circuits, 2),
        pages=pages,
        mails=[mail for moment in (Moment.GATE_OPENED, Moment.RELEASE_SUCCEEDED) for mail in mails(world, moment)],
    )


def gate_page(world: Counting, gate: GateName) -> str:
    """As the approver sees it."""
    claim, row = world.claim(gate), world.gate(gate)
    view = ApprovalView(
        state=ApprovalState.OPEN,
        release=world.release(),
        gate=row,
        evidence=json.loads(Gates(world.ports).view(claim).document),
        now=world.clock.now(),
        recipient=claim.recipient,
        code_needed=True,
        csrf="0" * 64,
    )
    return render_approval(view)


def told_size(name: str, page: str) -> str:
    return f"{name} {len(page.encode()):,} ({len(page.partition('<details')[0].encode()):,})"


def mails(world: Counting, moment: Moment) -> Sequence[str]:
    """The largest of this moment, as it is sent."""
    letters = [letter for letter in world.mail.letters if letter.notice.moment is moment]
    sent = [mime_message(letter, sender="releases@example.com", estate=ESTATE).as_bytes() for letter in letters]
    lines = [len(render_mail(letter, ESTATE).text.splitlines()) for letter in letters]
    return [f"{moment} {max(map(len, sent)):,}, {max(lines)} lines"] if sent else []


def main() -> int:
    """1 if a number per circuit depends on how many there are."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--circuits", type=int, nargs="+", default=[10, 100, 1000, 5000])
    found: list[Measured] = []
    for number in parser.parse_args().circuits:
        found.append(measure(number))
        one = found[-1]
        print(f"{one.circuits} circuits: {one.phase} after {one.seconds} s")
        print(f"  per circuit {one.requests} table requests, {one.messages} messages about it")
        print(f"  pages in bytes (before the first fold): {'; '.join(one.pages)}")
        print(f"  mails in bytes: {'; '.join(one.mails)}", flush=True)
    alike = all(max(row) <= min(row) * (1 + LARGEST_DIFFERENCE) for row in zip(*numbers(found), strict=True))
    well = alike and all(one.phase == ReleasePhase.SUCCEEDED for one in found)
    print(
        "the same for every number of circuits, within 5 %"
        if well
        else "NOT the same for every number, or not succeeded"
    )
    return 0 if well else 1


def numbers(found: Sequence[Measured]) -> list[tuple[float, float]]:
    return [(one.requests, one.messages) for one in found]


if __name__ == "__main__":
    sys.exit(main())
