"""What a succeeded release must have left, looked at from outside with the real SDKs; each finding is one sentence."""

import json
import re
import subprocess
import sys
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from azure.core.exceptions import ResourceNotFoundError
from azure.data.tables import TableServiceClient
from azure.servicebus import ServiceBusClient, ServiceBusSubQueue

from local.stack.description import Stack
from local.stack.parts import clean_environment
from local.stack.places import ROOT
from tests.support.pipeline import CUTOFF, WRITES, Json, Pipeline
from tests.support.wire import exchange

type Finding = str
type Rows = Mapping[str, Json]

QUEUES = ("promotion", "deployment", "smoke-test", "control")
MOMENT = re.compile(r"\d{4}-\d{2}-\d{2}T\d{2}:\d{2}:\d{2}Z")
SEEN_WITHIN_SECONDS = 600
MOST_PEEKED = 100


def everything_wrong(pipeline: Pipeline, release: Json, journal: Sequence[Json]) -> list[Finding]:
    """All findings; none is what a release should leave. `journal` is Azure ML's since before the upload."""
    stack, release_id = pipeline.stack, release["release_id"]
    with TableServiceClient.from_connection_string(stack.table_connection_string) as tables:
        table = {name: _rows(tables, name) for name in ("releases", "endpoints", "slots", "active")}
    circuits = [f"{one['plant_id']}|{one['circuit_id']}" for one in release["circuits"]]
    rows = {row["RowKey"]: row for row in table["releases"] if row["PartitionKey"] == release_id}
    return [
        *_release(release, rows),
        *_histories(rows),
        *_locks(table["endpoints"], release_id, circuits, rows),
        *(f"slot {row['RowKey']} is still held by {row['owner']}" for row in table["slots"] if row.get("owner")),
        *(f"release {row['RowKey']} is still listed as active" for row in table["active"]),
        *_queues(stack),
        *_azure_ml(stack, release_id, circuits),
        *_order(release, journal),
        *_mails(stack, rows),
    ]


def azure_ml(stack: Stack, models: Sequence[str]) -> Mapping[str, Json]:
    """What the real client sees, by model."""
    plan = {"subscription_id": stack.azure_ml.subscription_id, "models": list(models)}
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.seen_by_client"],
        input=json.dumps(plan),
        env=clean_environment() | {**stack.azure_ml.env, "PYTHONWARNINGS": "ignore"},
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=SEEN_WITHIN_SECONDS,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    seen: Mapping[str, Json] = json.loads(done.stdout)
    return seen


def _rows(tables: TableServiceClient, name: str) -> list[Json]:
    """All of a table's; none of one that was never needed."""
    try:
        return [dict(row) for row in tables.get_table_client(name).list_entities()]
    except ResourceNotFoundError:
        return []


# ------------------------------------------------------------------------------------------------- the rows


def _release(release: Json, rows: Rows) -> Iterator[Finding]:
    """Succeeded, all circuits live, both gates approved once, everybody told."""
    if release["phase"] != "succeeded":
        yield f"the release is {release['phase']}: {release['reason']}"
    for key, row in rows.items():
        if key.startswith("c|") and row["phase"] != "live":
            yield f"{key} is {row['phase']}: {row.get('error', '')}"
        if key.startswith("g|"):
            votes = json.loads(row["decisions"])
            if row["state"] != "approved" or len(votes) != 1:
                yield f"{key} is {row['state']} after {len(votes)} answers"
        if key.startswith("n|") and row["state"] != "sent":
            yield f"the notice {key} is {row['state']}"


def _histories(rows: Rows) -> Iterator[Finding]:
    """Every transition of a row begins where the one before ended; the last one ended where the row is now."""
    moved: dict[str, list[Json]] = defaultdict(list)
    for key, row in rows.items():
        if "hist" in row:
            moved[row.get("row", key)] += json.loads("".join(_parts(row, "hist")))
    for key, entries in moved.items():
        told = sorted(entries, key=lambda entry: entry["at"])
        ends = ["", *(entry["target"] for entry in told)]
        breaks = [f"{a} then {entry['source']}" for a, entry in zip(ends, told, strict=False) if a != entry["source"]]
        if breaks:
            yield f"the history of {key} has gaps: {', '.join(breaks)}"
        state = rows[key].get("phase") or rows[key].get("state")
        if ends[-1] != state:
            yield f"the history of {key} ends at {ends[-1]}, the row is {state}"


def _parts(row: Json, name: str) -> Iterator[str]:
    """A long text lies in several columns."""
    number = 0
    while (column := name if number == 0 else f"{name}_{number}") in row:
        yield row[column]
        number += 1


def _locks(rows: Sequence[Json], release_id: str, circuits: Sequence[str], runs: Rows) -> Iterator[Finding]:
    """Each endpoint wants this release's deployment, owned by it alone, with one entry in its ledger."""
    partitions: dict[str, dict[str, Json]] = defaultdict(dict)
    for row in rows:
        partitions[row["PartitionKey"]][row["RowKey"]] = row
    expected = {f"{environment}|{circuit}" for environment in ("test", "production") for circuit in circuits}
    if set(partitions) != expected:
        yield f"there are locks of {sorted(set(partitions) ^ expected)} too many or too few"
    for partition in expected & set(partitions):
        found = partitions[partition]
        deployment = runs[f"c|{partition.partition('|')[2]}"]["deployment"]
        lock, ledger = found["lock"], [row for key, row in found.items() if key.startswith("d|")]
        if (lock["owner"], lock["want"]) != (release_id, deployment):
            yield f"the lock of {partition} wants {lock['want']!r} for {lock['owner']}"
        if [(row["deployment"], row["previous"]) for row in ledger] != [(deployment, "")]:
            yield f"the ledger of {partition} is {[(row['deployment'], row['previous']) for row in ledger]}"
        if ledger and ledger[0]["fence"] > lock["fence"]:
            yield f"the fence of {partition} went back"


# --------------------------------------------------------------------------------------------- the services


def _queues(stack: Stack) -> Iterator[Finding]:
    """Nothing waits, nothing is scheduled, nothing is dead."""
    with ServiceBusClient.from_connection_string(stack.service_bus_connection_string) as client:
        for queue in QUEUES:
            for dead in (False, True):
                sub_queue = ServiceBusSubQueue.DEAD_LETTER if dead else None
                with client.get_queue_receiver(queue, sub_queue=sub_queue) as receiver:
                    left = [str(message.message_id) for message in receiver.peek_messages(MOST_PEEKED)]
                if left:
                    yield f"{len(left)} messages left in {queue}{' dead letters' if dead else ''}: {left[:3]}"


def _azure_ml(stack: Stack, release_id: str, circuits: Sequence[str]) -> Iterator[Finding]:
    """One version with seven tags, one deployment each in Test and Production that is the default, one kept job."""
    models = {circuit.replace("|", "-").lower(): circuit for circuit in circuits}
    version, deployment = release_id.replace(".", "-"), f"deployment-{release_id.replace('.', '-')}"
    for name, seen in azure_ml(stack, list(models)).items():
        plant, _, circuit = models[name].partition("|")
        tags = dict(seen["registry"].get(version, {}))
        if not MOMENT.fullmatch(tags.pop("promoted_at", "")):
            yield f"{name} has no time of promotion"
        if list(seen["registry"]) != [version] or tags != _seven(plant, circuit, release_id):
            yield f"{name} has the versions {seen['registry']}"
        for stage in ("test", "production"):
            endpoint = seen[stage]
            standing = (endpoint["state"], endpoint["default"], list(endpoint["deployments"]))
            if standing != ("SUCCEEDED", deployment, [deployment]):
                yield f"be-{name} in {stage} is {standing}"
        four = dict(seen["production"]["deployments"].get(deployment, {}).get("tags", {}))
        if not MOMENT.fullmatch(four.pop("deployed_at", "")) or four != _four(release_id):
            yield f"be-{name} in production has the tags {four}"
        kept = [job for job, status in seen["jobs"].items() if "cancel" not in status.lower()]
        if len(kept) != 1:
            yield f"{name} has {len(kept)} kept jobs: {seen['jobs']}"


def _seven(plant: str, circuit: str, release_id: str) -> dict[str, str]:
    """All but the time."""
    return {
        "cutoff_date": CUTOFF,
        "plant_id": plant,
        "circuit_id": circuit,
        "promoted_from": "dev",
        "release_id": release_id,
        "build_id": "777",
    }


def _four(release_id: str) -> dict[str, str]:
    """All but the time."""
    return {"cutoff_date": CUTOFF, "release_id": release_id, "previous_deployment": ""}


def _order(release: Json, journal: Sequence[Json]) -> Iterator[Finding]:
    """Not one write of the app to Dev, ever; none to a stage before its gate was approved."""
    decided = {gate["gate"]: gate["decisions"][0]["at"] for gate in release["gates"] if gate["decisions"]}
    opens = {"mlr-shared": "registry-approval", "mlw-test": "registry-approval", "mlw-prod": "production-approval"}
    for one in journal:
        if one["kind"] not in WRITES or one["identity"] != "app":
            continue
        if one["scope"] == "mlw-dev":
            yield f"the app wrote to Dev: {one['method']} {one['path']}"
        elif one["scope"] in opens and _second(one["at"]) < _second(decided.get(opens[one["scope"]], "9999")):
            yield f"{one['at']}: {one['method']} {one['path']} before {opens[one['scope']]}"


def _second(moment: str) -> str:
    return moment[:19]


def _mails(stack: Stack, rows: Rows) -> Iterator[Finding]:
    """Whatever was delivered again came under the Message-ID it had; every notice by mail has one of its own."""
    by_notice: dict[tuple[str, str], set[str]] = defaultdict(set)
    for mail in mails(stack):
        by_notice[mail["to"][0]["address"], mail["subject"]].add(message_id(mail))
    for (to, subject), ids in by_notice.items():
        if len(ids) != 1:
            yield f"'{subject}' to {to} came under {len(ids)} Message-IDs"
    sent = {key for key, row in rows.items() if key.startswith("n|") and row["channel"] == "email"}
    told = {one for ids in by_notice.values() for one in ids}
    if len(told) != len(sent):
        yield f"{len(sent)} notices by mail, {len(told)} Message-IDs in the inbox"


def mails(stack: Stack) -> list[Json]:
    """The inbox, as its server lists it."""
    found: list[Json] = exchange("GET", stack.mail_api_url).json()
    return found


def message_id(mail: Mapping[str, Any]) -> str:
    """Of its header."""
    headers = {name.lower(): value for name, value in mail["headers"].items()}
    return str(headers["message-id"])


def delivered_again(stack: Stack) -> int:
    """Mails beyond the first under their Message-ID."""
    return sum(count - 1 for count in Counter(map(message_id, mails(stack))).values())
