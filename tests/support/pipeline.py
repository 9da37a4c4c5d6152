"""A running stack as end-to-end tests use it: upload artifacts, read the mail, answer gates, ask the API, read journals."""

import itertools
import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode

from azure.core import MatchConditions
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient

from local.demo.approver import decide
from local.demo.mailbox import CODE, LINK, Invitation, Mail, Mailbox
from local.demo.manifest import Artifact
from local.samples.dev_build import Trait
from local.stack.description import Stack
from local.stack.files import read_json
from local.stack.keys import stack_secrets
from local.stack.parts import BLOB_FUNCTION
from local.stack.places import Places
from tests.support.real_client import RealClient
from tests.support.waiting import wait_until
from tests.support.wire import WireReply, exchange

type Json = dict[str, Any]

ARTIFACT_NAME = "changed_circuits.json"
CUTOFF = "2025-11-01"
BUILD_ID = "777"
REGISTRY_GATE, PRODUCTION_GATE = "registry-approval", "production-approval"
AT_REGISTRY_GATE, AT_PRODUCTION_GATE = "awaiting_registry_approval", "awaiting_production_approval"
ENDED = frozenset({"succeeded", "failed", "rejected", "expired", "superseded", "cancelled", "nothing_to_do", "invalid"})
WRITES = frozenset({"write", "blob-write"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Pipeline:
    """One stack and the addresses of its parts."""

    stack: Stack
    places: Places
    client: RealClient = field(init=False)
    _numbers: "itertools.count[int]" = field(default_factory=lambda: itertools.count(1))

    def __post_init__(self) -> None:
        object.__setattr__(self, "client", RealClient(self.stack))

    def close(self) -> None:
        """End what was started beside the stack."""
        self.client.close()

    # ------------------------------------------------------------------------------------------ artifacts

    def build(self, circuits: Mapping[str, Trait]) -> None:
        """Models and test data for `PLANT/CIRCUIT`s, as a training build leaves them."""
        artifact = Artifact(release_id="", build_id=BUILD_ID, content={"circuits": [entry(one) for one in circuits]})
        self.client.build(artifact, {_pair(circuit): trait for circuit, trait in circuits.items()})

    def fresh_id(self) -> str:
        """A release id that nobody has used."""
        return f"20260105.{next(self._numbers)}"

    def upload(self, path: str, content: object, metadata: Mapping[str, str] | None = None) -> None:
        """Put a blob into the artifact container; what is no bytes becomes JSON."""
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        with BlobServiceClient.from_connection_string(self.stack.blob_connection_string) as storage:
            blob = storage.get_blob_client(self.stack.artifact_container, path)
            blob.upload_blob(body, metadata=dict(metadata or {}), overwrite=True)

    def start(self, *circuits: str, build_id: str = BUILD_ID) -> str:
        """Upload an artifact for `PLANT/CIRCUIT`s as a build does; returns the release id."""
        release_id = self.fresh_id()
        self.upload(f"releases/{release_id}/{build_id}/{ARTIFACT_NAME}", {"circuits": [entry(c) for c in circuits]})
        return release_id

    def repeat_event(self, path: str) -> WireReply:
        """Tell the app of a blob once more, as Event Grid does when it is not sure."""
        stack, key = self.stack, stack_secrets(self.places).blob_events_key
        account = stack.blob_connection_string.partition("BlobEndpoint=")[2].partition(";")[0]
        event = {
            "id": "again",
            "topic": "/storageAccounts/devstoreaccount1",
            "subject": f"/blobServices/default/containers/{stack.artifact_container}/blobs/{path}",
            "eventType": "Microsoft.Storage.BlobCreated",
            "eventTime": "2026-01-05T08:00:00Z",
            "data": {"api": "PutBlob", "eTag": "again", "url": f"{account}/{stack.artifact_container}/{path}"},
            "dataVersion": "",
            "metadataVersion": "1",
        }
        url = f"{stack.app_url}/runtime/webhooks/blobs?functionName=Host.Functions.{BLOB_FUNCTION}&code={key}"
        headers = {"Content-Type": "application/json", "aeg-event-type": "Notification"}
        return exchange("POST", url, json.dumps([event]).encode(), headers)

    # ------------------------------------------------------------------------------------------------ API

    def call(self, method: str, path: str, body: object = None, *, key: str | None = None) -> WireReply:
        """One call with the function key, or with another one (empty: none)."""
        key = self.stack.function_key if key is None else key
        headers = {"x-functions-key": key} if key else {}
        content = None
        if body is not None:
            headers["Content-Type"] = "application/json"
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
        return exchange(method, f"{self.stack.app_url}{path}", content, headers)

    def release(self, release_id: str) -> Json | None:
        """The release as the API shows it; None while there is none."""
        reply = self.call("GET", f"/api/releases/{release_id}")
        if reply.status == 404:
            return None
        assert reply.status == 200, f"{reply.status}: {reply.text[:300]}"
        found: Json = reply.json()
        return found

    def releases(self, **filters: str | int) -> list[Json]:
        """The newest releases, filtered."""
        reply = self.call("GET", f"/api/releases?{urlencode({'limit': 200, **filters})}")
        assert reply.status == 200, reply.text
        found: list[Json] = reply.json()["releases"]
        return found

    def invalid(self, path: str) -> list[Json]:
        """What was recorded about a refused artifact at this path."""
        return [release for release in self.releases(phase="invalid") if release["reason"].startswith(f"{path}: ")]

    def wait_phase(self, release_id: str, *phases: str, within_seconds: float = 120) -> Json:
        """Wait until the release is in one of the phases; fails at once if it ends in another."""

        def look() -> Json | None:
            release = self.release(release_id)
            if release is None or release["phase"] in phases:
                return release
            told = json.dumps([release["reason"], [(c["phase"], c["error"]) for c in release["circuits"]]])
            assert release["phase"] not in ENDED, f"{release_id} ended {release['phase']}: {told}"
            return None

        return wait_until(look, f"{release_id} {' or '.join(phases)}", within_seconds)

    def live_defaults(self, *circuits: str) -> dict[str, str]:
        """The default of each `PLANT/CIRCUIT` in Production as the service has it, whatever the app believes."""
        models = {circuit: circuit.replace("/", "-").lower() for circuit in circuits}
        seen = self.client.report(tuple(models.values()))["production"]
        return {circuit: seen[model]["default"] for circuit, model in models.items()}

    # -------------------------------------------------------------------------------------- mail and gates

    def mails(self) -> list[Mail]:
        return Mailbox(self.stack).mails()

    def mails_about(self, release_id: str, word: str) -> list[Mail]:
        """The mails whose subject names this release, and no longer id, and has the word in it."""
        about = re.compile(rf"(?<![\d.]){re.escape(release_id)}(?!\d)")
        return [m for m in self.mails() if about.search(m.subject) and word.lower() in m.subject.lower()]

    def invitations(self, release_id: str, gate: str, people: int = 2) -> dict[str, Invitation]:
        """Everybody's newest mail about a gate, by recipient; waits until `people` have theirs."""
        about = re.compile(rf"{gate}.*(?<![\d.]){re.escape(release_id)}(?!\d)", re.IGNORECASE)

        def look() -> dict[str, Invitation] | None:
            found = {
                mail.to[0]: Invitation(mail=mail, link=link.group(), code=code.group(1))
                for mail in self.mails()
                if (link := LINK.search(mail.text)) and (code := CODE.search(mail.text)) and about.search(mail.subject)
            }
            return found if len(found) >= people else None

        return wait_until(look, f"{people} mails about {gate} of {release_id}")

    def answer(self, release_id: str, gate: str, decision: str = "approve", comment: str = "Looks right.") -> None:
        """Decide as a person does: from the mail, by the page's own form."""
        found = self.invitations(release_id, gate, people=1)
        decide(next(iter(found.values())), decision, comment)

    # --------------------------------------------------------------------------------------------- journals

    def azure_ml(self, after: int = 0) -> list[Json]:
        """Requests that the Azure ML stand-in has answered."""
        entries: list[Json] = exchange("GET", f"{self.stack.azure_ml.admin_url}/journal?after={after}").json()
        return entries

    def azure_ml_position(self) -> int:
        """The number of the newest request."""
        return int(exchange("GET", f"{self.stack.azure_ml.admin_url}/journal/counts").json()["last"])

    def service_bus(self) -> list[Json]:
        """What happened to every message, from the stack's start."""
        entries: list[Json] = []
        while page := self._service_bus_page(entries[-1]["n"] if entries else 0):
            entries += page
        return entries

    def _service_bus_page(self, after: int) -> list[Json]:
        page: list[Json] = exchange("GET", f"{self.stack.service_bus_admin_url}/journal?after={after}").json()
        return page

    def queues(self) -> dict[str, dict[str, int]]:
        """How many messages each queue holds, by state."""
        found: dict[str, dict[str, int]] = exchange("GET", f"{self.stack.service_bus_admin_url}/queues").json()
        return found

    def invocations(self) -> dict[str, dict[str, int]]:
        """How often each function was started, has succeeded, has failed."""
        found: dict[str, dict[str, int]] = exchange("GET", f"{self.stack.app_url}/admin/host/invocations").json()
        return found

    def rows(self, release_id: str) -> dict[str, tuple[str, Json]]:
        """The release's rows in Table Storage: ETag and columns, by row key."""
        with TableServiceClient.from_connection_string(self.stack.table_connection_string) as tables:
            found = tables.get_table_client("releases").query_entities(f"PartitionKey eq '{release_id}'")
            return {row["RowKey"]: (str(row.metadata["etag"]), dict(row)) for row in found}

    def change_policy(self, release_id: str, **seconds: float) -> None:
        """Give a release that waits at a gate other limits than it froze when it started."""
        with TableServiceClient.from_connection_string(self.stack.table_connection_string) as tables:
            table = tables.get_table_client("releases")
            row = table.get_entity(release_id, "!release")
            row["policy"] = json.dumps(json.loads(row["policy"]) | seconds)
            table.update_entity(row, match_condition=MatchConditions.IfNotModified, etag=row.metadata["etag"])

    def fault(self, **what: object) -> None:
        """Let requests to the Azure ML stand-in go wrong, as its documentation says."""
        url, headers = f"{self.stack.azure_ml.admin_url}/faults", {"Content-Type": "application/json"}
        reply = exchange("POST", url, json.dumps(what).encode(), headers)
        assert reply.status in {200, 201}, reply.text

    # ------------------------------------------------------------------------------------------------ parts

    def process_of(self, part: str) -> int:
        """The process id of one part of the stack."""
        status = read_json(self.places.status)
        assert status
        pid: int = status["parts"][part]["pid"]
        return pid

    def run_timer(self, name: str) -> None:
        """Have the host run a timer function now, and wait until it has."""
        key = json.loads((self.places.data("app") / "keys.json").read_text())["master"]
        before = self.invocations().get(name, {}).get("succeeded", 0)
        url = f"{self.stack.app_url}/admin/functions/{name}"
        reply = exchange("POST", url, b"{}", {"x-functions-key": key, "Content-Type": "application/json"})
        assert reply.status == 202, reply.text
        wait_until(lambda: self.invocations().get(name, {}).get("succeeded", 0) > before, f"{name} has run")


def _pair(circuit: str) -> tuple[str, str]:
    plant_id, _, circuit_id = circuit.partition("/")
    return plant_id, circuit_id


def entry(circuit: str, cutoff_date: str = CUTOFF) -> Json:
    """One circuit of an artifact."""
    plant_id, _, circuit_id = circuit.partition("/")
    return {"plant_id": plant_id, "circuit_id": circuit_id, "cutoff_date": cutoff_date}


def writes(entries: Iterable[Json], scope: str, *names: str) -> list[str]:
    """The requests that changed something in a workspace or registry and name one of `names` (none: any)."""
    return [
        f"{e['n']} {e['method']} {e['path']} by {e['identity']} -> {e['status']}"
        for e in entries
        if e["scope"] == scope and e["kind"] in WRITES and (not names or any(name in e["path"] for name in names))
    ]


def circuit_in(release: Json, name: str) -> Json:
    """One circuit of a release, by `PLANT/CIRCUIT`."""
    found: Sequence[Json] = [c for c in release["circuits"] if f"{c['plant_id']}/{c['circuit_id']}" == name]
    assert len(found) == 1, f"{name} in {release['release_id']}"
    return found[0]


def gate_in(release: Json, name: str) -> Json:
    """One gate of a release."""
    found: Sequence[Json] = [gate for gate in release["gates"] if gate["gate"] == name]
    assert len(found) == 1, f"{name} in {release['release_id']}"
    return found[0]
