"""The real app in the real engine, on real storage, with releases that stand at a gate: no Azure ML, no mail."""

import json
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from itertools import batched
from pathlib import Path

from shared.application.gate_opening import open_change
from shared.application.ports import GateLink, Insert, Ports
from shared.bootstrap import build_ports
from shared.config import Settings
from shared.domain.model import CircuitPhase, CircuitRun, Gate, GateName, HistoryEntry, Release, ReleasePhase
from shared.domain.policy import Policy
from tests.support.azurite import Account
from tests.support.broker import Broker
from tests.support.builders import a_release, a_run
from tests.support.net import free_ports
from tests.support.waiting import wait_until

ROOT = Path(__file__).parents[2]
ADA, GRACE, BOB = "ada@example.org", "grace@example.org", "bob@example.org"
KEY = "a key that signs the links of these tests only"
RETIRED_KEY = "the key that signed them before it was rotated"
NEVER = "0 0 0 1 1 *"
PEOPLE = (
    {"Name": ADA, "Roles": ["ReleaseApprover"]},
    {"Name": GRACE, "Roles": ["ReleaseApprover", "ReleaseOperator"]},
    {"Name": BOB, "Roles": ["ReleaseReader"]},
    {"Name": "visitor@example.org", "Roles": []},
)


@dataclass(frozen=True, slots=True, kw_only=True)
class AppHost:
    """A running app, and the ports by which a test puts rows under it."""

    url: str
    log: Path
    ports: Ports
    function_key: str = "function-key"
    _numbers: Iterator[int] = field(default_factory=lambda: iter(range(1, 1000)))

    def at_gate(
        self,
        gate: GateName = GateName.REGISTRY,
        *runs: CircuitRun,
        policy: Policy | None = None,
        **columns: object,
    ) -> "GateAt":
        """A fresh release that waits at a gate, with its evidence frozen as the app freezes it."""
        at = {
            GateName.REGISTRY: ReleasePhase.AWAITING_REGISTRY_APPROVAL,
            GateName.PRODUCTION: ReleasePhase.AWAITING_PRODUCTION_APPROVAL,
        }
        done = CircuitPhase.INSPECTED if gate is GateName.REGISTRY else CircuitPhase.TESTED
        release_id, now = f"20260105.{next(self._numbers)}", datetime.now(UTC)
        entry = HistoryEntry(at=now, source="", target=at[gate])
        release = a_release(
            release_id, phase=at[gate], created_at=now, due_at=None, hist=(entry,), policy=policy or Policy()
        )
        self.ports.evidence.put(release.manifest_blob, b"[]")
        self._write(replace(release, **columns), runs or (a_run(phase=done),))  # type: ignore[arg-type]
        stored = self.ports.releases.release(release_id)
        assert stored is not None
        change = open_change(stored.row, gate, self.ports)
        assert isinstance(change.row, Gate)
        self.ports.releases.commit(change)
        return GateAt(host=self, release=stored.row, gate=change.row)

    def _write(self, release: Release, runs: Sequence[CircuitRun]) -> None:
        self.ports.releases.begin(release)
        self.ports.releases.list_circuits(release, [run.circuit for run in runs])
        for page in batched(runs, 100, strict=False):
            self.ports.releases.commit(*(Insert(row=replace(run, release_id=release.release_id)) for run in page))

    def log_text(self) -> str:
        return self.log.read_text(encoding="utf-8", errors="replace")


@dataclass(frozen=True, slots=True, kw_only=True)
class GateAt:
    """A gate that a test answers."""

    host: AppHost
    release: Release
    gate: Gate

    def link(self, recipient: str = ADA) -> GateLink:
        """What stands in this person's mail."""
        return self.host.ports.tokens.link(self.gate, recipient)

    def now(self) -> Gate:
        """The gate's row as it is."""
        found = self.host.ports.releases.release_and_gate(self.release.release_id, self.gate.gate)
        assert found is not None
        assert found[1] is not None
        return found[1].row


@contextmanager
def running_app(
    directory: Path, account: Account, broker: Broker, *, easy_auth: bool = False, **values: str
) -> Iterator[AppHost]:
    """The app on a port of its own, until the block ends."""
    (port,) = free_ports(1)
    url, log, settings = f"http://127.0.0.1:{port}", directory / "host.log", directory / "settings.json"
    chosen = _values(url, account, broker) | values
    host: Mapping[str, object] = {"EasyAuth": {"People": PEOPLE}} if easy_auth else {}
    settings.write_text(json.dumps({"IsEncrypted": False, "Values": chosen, "Host": host}))
    command = [
        sys.executable, "-m", "local.functions_host", "--app", str(ROOT), "--settings", str(settings),
        "--data", str(directory / "data"), "--port", str(port), "--function-key", "function-key", "--stop-with-stdin",
        "--grace", "1",
    ]  # fmt: skip
    with log.open("wb") as out, subprocess.Popen(command, cwd=ROOT, stdin=subprocess.PIPE, stderr=out) as child:
        assert child.stdin is not None
        try:
            wait_until(lambda: child.poll() is not None or _is_up(url), "the app is up", 90)
            assert child.poll() is None, log.read_text()[-3000:]
            yield AppHost(url=url, log=log, ports=_ports(chosen))
        finally:
            child.stdin.close()
            child.wait(timeout=30)


def _values(url: str, account: Account, broker: Broker) -> dict[str, str]:
    sample: dict[str, str] = json.loads((ROOT / "local.settings.sample.json").read_text())["Values"]
    return sample | {
        "AzureWebJobsStorage": account.connection_string,
        "StateStorage": account.connection_string,
        "ArtifactsStorage": account.connection_string,
        "ServiceBus": broker.connection_string,
        "PUBLIC_URL": url,
        "LINK_SIGNING_KEYS": f"{RETIRED_KEY},{KEY}",
        "APPROVERS": f"{ADA},{GRACE}",
        "SMTP_HOST": "",
        "SWEEP_SCHEDULE": NEVER,
        "ARTIFACT_SCAN_SCHEDULE": NEVER,
        "DRIFT_SCHEDULE": NEVER,
        "RETENTION_SCHEDULE": NEVER,
    }


def _ports(values: Mapping[str, str]) -> Ports:
    """The same storage, bus and keys in this process, by the names the environment has for them."""
    names = ("StateStorage", "ArtifactsStorage", "ServiceBus", "PUBLIC_URL", "LINK_SIGNING_KEYS", "APPROVERS")
    return build_ports(Settings(**{name: values[name] for name in names}))  # type: ignore[arg-type]  # by alias


def _is_up(url: str) -> bool:
    try:
        with urllib.request.urlopen(f"{url}/admin/host/status", timeout=5) as reply:
            return bool(reply.status == 200)
    except (OSError, urllib.error.URLError):
        return False
