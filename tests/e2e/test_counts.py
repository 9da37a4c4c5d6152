"""What a release costs, counted from the journals: requests to the tables, messages, calls to Azure ML, invocations."""

import re
from collections import Counter
from dataclasses import dataclass
from urllib.parse import unquote

import pytest

from tests.support.pipeline import Json, Pipeline
from tests.support.stories import WITHIN_SECONDS, Stories

pytestmark = [pytest.mark.stack, pytest.mark.timeout(WITHIN_SECONDS + 60)]

RELEASE = "20251210.1"
CIRCUITS = ("PLANT001|CIRCUIT01", "PLANT001|CIRCUIT02", "PLANT002|CIRCUIT01")
TABLE_LINE = re.compile(r'"([A-Z]+) /devstoreaccount1/(\$batch|\w+)(\S*) HTTP')
LOAD, WRITE, SCAN, JUDGE, WRITE_RELEASE = "load", "write", "scan", "judge", "write release"
ROUNDS = 5
"""Inspection, promotion, Test, staging, activation."""
JUDGED = re.compile(r"and \(phase eq '(inspected|promoted|tested|staged|live)'\)")
"""Asked by whoever finds no circuit pending: has any ended well?"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Requests to the table of releases that name this release, by what they are, and the circuit they name."""

    by_circuit: Counter[tuple[str, str]]
    of_release: Counter[str]

    def of(self, circuit: str, kind: str) -> int:
        return self.by_circuit[circuit, kind]


def counted(log: str, release_id: str) -> Cost:
    """Every request that the storage's access log attributes to a release; what lists it for readers is left out."""
    by_circuit: Counter[tuple[str, str]] = Counter()
    of_release: Counter[str] = Counter()
    for method, table, rest in TABLE_LINE.findall(log):
        said = unquote(rest)
        if table != "releases" or f"'{release_id}'" not in said:
            continue
        circuit = next((name for name in CIRCUITS if f"c|{name}'" in said), "")
        if circuit:
            by_circuit[circuit, LOAD if method == "GET" else WRITE] += 1
        elif "todo eq" in said:
            of_release[SCAN] += 1
        elif JUDGED.search(said):
            of_release[JUDGE] += 1
        elif said.startswith("(PartitionKey") and "'!release'" in said and method != "GET":
            of_release[WRITE_RELEASE] += 1
    return Cost(by_circuit=by_circuit, of_release=of_release)


@pytest.fixture(scope="module")
def release(stories: Stories) -> Json:
    return stories.first.result(WITHIN_SECONDS).release


@pytest.fixture(scope="module")
def cost(pipeline: Pipeline, release: Json) -> Cost:
    """The first release's requests, from the log of the storage."""
    return counted(pipeline.places.log("storage").read_text(encoding="utf-8"), release["release_id"])


@pytest.fixture(scope="module")
def messages(pipeline: Pipeline, release: Json) -> dict[str, Counter[str]]:
    """What happened to each circuit's messages: by circuit, how often of each kind."""
    found: dict[str, Counter[str]] = {circuit: Counter() for circuit in CIRCUITS}
    for entry in pipeline.service_bus():
        if circuit := circuit_of(entry["message_id"]):
            found[circuit][entry["op"]] += 1
    return found


def circuit_of(message_id: str) -> str:
    """The circuit that a message of the first release is about; empty: it is about something else."""
    match message_id.split("|"):
        case [release_id, _gen, _stage, plant, circuit, _phase, _n, _redrive] if release_id == RELEASE:
            return f"{plant}|{circuit}" if f"{plant}|{circuit}" in CIRCUITS else ""
        case _:
            return ""


def transitions(release: Json, circuit: str) -> int:
    """How often a circuit's row changed its phase."""
    return sum(line["circuit"] == circuit.replace("|", "/") for line in release["history"])


def test_a_poll_costs_a_read_and_a_write_and_a_transition_at_most_three_requests(
    cost: Cost, messages: dict[str, Counter[str]], release: Json
) -> None:
    """Load, write, and for the end of a round one scan: never a list of all circuits, never a second write."""
    for circuit in CIRCUITS:
        polls, moves = messages[circuit]["schedule"], transitions(release, circuit)
        assert moves >= 14, circuit
        assert polls > 0, circuit
        assert cost.of(circuit, LOAD) >= messages[circuit]["complete"], "every message looks at its row"
        assert cost.of(circuit, LOAD) + cost.of(circuit, WRITE) + ROUNDS <= 2 * polls + 3 * moves, circuit


def test_a_round_is_scanned_once_per_circuit_and_judged_once(cost: Cost) -> None:
    """The fan-in without a counter: one scan for each circuit's end and one for the fan-out's; ties judge it twice."""
    assert cost.of_release[SCAN] <= ROUNDS * (len(CIRCUITS) + 1) + 1
    assert ROUNDS <= cost.of_release[JUDGE] <= 2 * ROUNDS


def test_the_release_row_is_written_a_fixed_number_of_times(cost: Cost) -> None:
    """Two per round (fan-out, end), none per circuit or poll; gates write theirs in transactions."""
    assert cost.of_release[WRITE_RELEASE] <= 2 * 5 + 2


def test_each_message_is_sent_once_and_handled_once(pipeline: Pipeline, messages: dict[str, Counter[str]]) -> None:
    """One message per look, whose id is its own: none is sent twice, none is delivered twice, none is dead."""
    mine = [entry for entry in pipeline.service_bus() if circuit_of(entry["message_id"])]
    sent = Counter(entry["message_id"] for entry in mine if entry["op"] in {"send", "schedule"})
    assert set(sent.values()) == {1}
    assert Counter(entry["message_id"] for entry in mine if entry["op"] == "complete") == sent
    assert {entry["delivery_count"] for entry in mine if entry["op"] == "deliver"} == {0}
    first_looks = Counter(circuit_of(message_id) for message_id in sent if message_id.split("|")[6] == "0")
    assert first_looks == dict.fromkeys(messages, 8), "one message per phase with work"


def test_the_azure_ml_calls_that_change_something_are_counted_one_by_one(pipeline: Pipeline, stories: Stories) -> None:
    """Per circuit: one model, one smoke job, two endpoints made and switched, two deployments; nothing twice."""
    told = stories.first.result(WITHIN_SECONDS)
    names = ("plant001-", "plant002-")
    changed = Counter(
        f"{entry['scope']} {entry['operation']}"
        for entry in pipeline.azure_ml(told.began)
        if entry["n"] <= told.ended and entry["kind"] == "write" and any(name in entry["path"] for name in names)
    )
    assert changed == {
        "mlr-shared registry.uploads.put": 3,
        "mlr-shared registry.models.put": 3,
        "mlw-test endpoints.put": 6,
        "mlw-test deployments.put": 3,
        "mlw-prod endpoints.put": 6,
        "mlw-prod deployments.put": 3,
    }
