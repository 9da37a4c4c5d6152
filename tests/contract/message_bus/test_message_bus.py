"""`MessageBus`: one suite, on the fake and on the real client against the broker."""

from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Protocol

import pytest

from shared.application.ports import MessageBus, Sendable
from shared.domain.commands import FanOut, ReadArtifact, RunStep, SendNotice, StepKind
from shared.domain.model import CircuitPhase, Round
from tests.support.builders import CIRCUIT

DELAY = timedelta(milliseconds=300)


class Bus(Protocol):
    @property
    def port(self) -> MessageBus: ...

    def received(self, queue: str, count: int) -> list[Sendable]: ...


def step(release_id: str, kind: StepKind, n: int = 0, delay: timedelta = timedelta()) -> RunStep:
    return RunStep(
        release_id=release_id, circuit=CIRCUIT, gen=1, kind=kind, phase=CircuitPhase.STAGING, n=n, delay=delay
    )


@pytest.mark.parametrize(
    ("kind", "queue"),
    [
        (StepKind.INSPECT, "promotion"),
        (StepKind.PROMOTE, "promotion"),
        (StepKind.DEPLOY, "deployment"),
        (StepKind.ACTIVATE, "deployment"),
        (StepKind.RESTORE, "deployment"),
        (StepKind.SMOKE_TEST, "smoke-test"),
    ],
)
def test_every_step_arrives_on_its_queue(bus: Bus, kind: StepKind, queue: str) -> None:
    """R52: promotion, deployment and smoke-test functions, one message per circuit."""
    command = step(f"kind-{kind}", kind)
    bus.port.send([command])
    assert bus.received(queue, 1) == [command]


def test_control_messages_arrive_on_the_control_queue(bus: Bus) -> None:
    """Fan-out pages, notices and second looks at an artifact."""
    commands: list[Sendable] = [
        FanOut(release_id="control", gen=1, round=Round.TEST, cursor="c|PLANT001|CIRCUIT01"),
        SendNotice(release_id="control", row_key="n|gate_opened|email|jürgen@example.com", n=0),
        ReadArtifact(path="releases/20251210.1/12345/changed_circuits.json"),
    ]
    bus.port.send(commands)
    received = bus.received("control", 3)
    assert sorted(received, key=repr) == sorted(commands, key=repr)


def test_one_send_reaches_several_queues(bus: Bus) -> None:
    """A decision may start work of different kinds."""
    promote, smoke = step("several", StepKind.PROMOTE), step("several", StepKind.SMOKE_TEST)
    bus.port.send([promote, smoke])
    assert bus.received("smoke-test", 1) == [smoke]
    assert bus.received("promotion", 1) == [promote]


def test_a_page_of_commands_arrives_whole(bus: Bus) -> None:
    """More than one batch can hold: the rest goes into the next."""
    commands = [SendNotice(release_id="page", row_key=f"{n:03d}" + "x" * 500, n=0) for n in range(700)]
    bus.port.send(commands)
    assert sorted(bus.received("control", 700), key=repr) == commands


def test_a_delayed_command_arrives_once_its_time_has_come(bus: Bus) -> None:
    """Scheduled and immediate ones may be sent together."""
    later, now = step("delayed", StepKind.INSPECT, n=1, delay=DELAY), step("delayed", StepKind.INSPECT)
    bus.port.send([later, now])
    received = bus.received("promotion", 2)
    assert {command.n for command in received if isinstance(command, RunStep)} == {0, 1}


def test_nothing_to_send_is_no_request(bus: Bus) -> None:
    """Decisions often have no commands."""
    bus.port.send([])
    marker = step("nothing", StepKind.DEPLOY)
    bus.port.send([marker])
    assert bus.received("deployment", 1) == [marker]


def test_several_threads_share_a_bus(bus: Bus) -> None:
    """The host runs functions side by side; a queue's one connection serves them in turn."""
    commands = [step("threads", StepKind.SMOKE_TEST, n=n) for n in range(40)]
    with ThreadPoolExecutor(max_workers=8) as pool:
        list(pool.map(lambda command: bus.port.send([command]), commands))
    received = bus.received("smoke-test", 40)
    assert sorted(command.n for command in received if isinstance(command, RunStep)) == list(range(40))
