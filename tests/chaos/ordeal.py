"""One release on a real stack of its own while its parts are ended again and again; then what is left, from outside."""

import json
import re
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.client import HTTPException
from pathlib import Path
from typing import Any

from azure.data.tables import TableServiceClient

from local.demo.approver import ApprovalError, decide
from local.demo.mailbox import Invitation, Mailbox, invitation
from local.stack.control import down, up
from local.stack.files import write_json
from local.stack.parts import SERVICE_BUS_CONFIG, clean_environment
from local.stack.places import ROOT, Places
from local.stack.ports import Ports, free_base
from tests.chaos.disturbances import BROKER, HOST, STORAGE, Blow, Disturbances
from tests.chaos.how_far import HowFar
from tests.chaos.outside import Finding, delivered_again, everything_wrong, mails
from tests.support.pipeline import ARTIFACT_NAME, ENDED, Json, Pipeline, entry
from tests.support.progress import told_meanwhile
from tests.support.stories import make_quick
from tests.support.waiting import wait_until

SETTINGS: Mapping[str, str] = {
    "SWEEP_SCHEDULE": "*/3 * * * * *",
    "ARTIFACT_SCAN_SCHEDULE": "*/15 * * * * *",
    "OVERDUE_AFTER_SECONDS": "5",
    "RETRY_MOST_SECONDS": "3",
    "SMOKE_SLOTS": "10",
}
"""Shorter waits than in Azure; everything else is as it is there."""
LOCK_DURATION = "PT10S"
BUILD, RELEASE_ID = "777", "20260105.1"
SEEDED_WITHIN_SECONDS = 300
QUIET_WITHIN_SECONDS = 180
LOOK_EVERY_SECONDS = 1.0
OUT_OF_REACH = (OSError, HTTPException, ValueError, ApprovalError)
"""What a person or a program meets while the app is being started again."""
IN_THE_LOG = {
    "swept": re.compile("overdue, driven again"),
    "tried again": re.compile("step will be tried again"),
    "postponed": re.compile("message postponed"),
}
"""What the app says when it is disturbed."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """How many circuits, and what happens to the stack meanwhile."""

    circuits: int
    seed: int
    blows: Sequence[Blow]
    within_seconds: float
    faulty: str = ""
    """Which of Azure ML's hosts and paths fail, as a regular expression; empty: all."""

    @property
    def names(self) -> Sequence[str]:
        """Ten circuits a plant."""
        return [f"PLANT{n // 10:03}/CIRCUIT{n % 10:02}" for n in range(self.circuits)]


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was done to the release, what that cost, and what is wrong afterwards."""

    plan: Plan
    release: Json
    seconds: float
    done: Sequence[tuple[float, str]]
    faults: Counter[str]
    ml_requests: int
    messages: Counter[str]
    redelivered: int
    log: Mapping[str, int]
    mails: int
    mails_again: int
    findings: Sequence[Finding] = field(default_factory=list)

    @property
    def blows(self) -> Counter[str]:
        return Counter(part for _, part in self.done)

    def told(self) -> str:
        """For people."""
        blows, log = self.blows, self.log
        lines = [
            f"{self.plan.circuits} circuits, seed {self.plan.seed}: {self.release['phase']} after {self.seconds:.0f} s",
            (
                f"  killed      host {blows[HOST]} times (SIGKILL); restarted: storage {blows[STORAGE]} times, "
                f"broker {blows[BROKER]} times (SIGTERM)"
            ),
            f"  Azure ML    {sum(self.faults.values())} of {self.ml_requests} requests went wrong: "
            + ", ".join(f"{count} {what}" for what, count in sorted(self.faults.items())),
            (
                f"  messages    {self.messages['send'] + self.messages['schedule']} sent, {self.redelivered} delivered again, "
                f"{self.messages['lock-expired']} locks ran out, {self.messages['duplicate-dropped']} duplicates dropped, "
                f"{self.messages['dead-letter']} dead-lettered"
            ),
            (
                f"  swept       {log['swept']} overdue rows driven again; {log['tried again']} steps tried again, "
                f"{log['postponed']} messages postponed"
            ),
            f"  mails       {self.mails}, of them {self.mails_again} delivered again under the same Message-ID",
            f"  wrong       {len(self.findings)} findings",
            *(f"    {finding}" for finding in self.findings),
        ]
        return "\n".join(lines)


@contextmanager
def stack_of_its_own(directory: Path, settings: Mapping[str, str] = SETTINGS) -> Iterator[Pipeline]:
    """A stack with settings of its own, which stops with this process."""
    places = Places(dir=directory, ports=Ports(base=free_base()))
    directory.mkdir(parents=True, exist_ok=True)
    write_json(places.overrides, dict(settings))
    write_json(places.queues, quickly_unlocked())
    stack = up(places, print, tethered=True)
    try:
        pipeline = Pipeline(stack=stack, places=places)
        make_quick(pipeline)
        yield pipeline
    finally:
        down(places)


def quickly_unlocked() -> Json:
    """The usual queues; what a killed host held comes back within seconds."""
    config: Json = json.loads(SERVICE_BUS_CONFIG.read_text(encoding="utf-8"))
    for queue in config["UserConfig"]["Namespaces"][0]["Queues"]:
        queue["Properties"]["LockDuration"] = LOCK_DURATION
    return config


def run(plan: Plan, directory: Path) -> Report:
    """The whole ordeal; the release has ended in some way, and what is wrong stands in the report."""
    how_far = HowFar(circuits=plan.circuits)
    with told_meanwhile(how_far.told), stack_of_its_own(directory) as pipeline:
        how_far.at = "a build registers its models"
        build(pipeline, plan.names)
        disturbances = Disturbances(
            places=pipeline.places,
            admin_url=pipeline.stack.azure_ml.admin_url,
            seed=plan.seed,
            blows=plan.blows,
            faulty=plan.faulty,
        )
        how_far.blows = disturbances.counts
        position, began = pipeline.azure_ml_position(), time.monotonic()
        path = f"releases/{RELEASE_ID}/{BUILD}/{ARTIFACT_NAME}"
        pipeline.upload(path, {"circuits": [entry(name) for name in plan.names]})
        how_far.at = "uploaded"
        disturbances.start()
        try:
            release = follow(pipeline, plan.within_seconds, seen_so_far=how_far.saw)
        finally:
            disturbances.stop()
        seconds = time.monotonic() - began
        # Locks of killed receivers would only run out after minutes; a broker that starts again gives them back.
        disturbances.strike(BROKER, signal.SIGTERM)
        how_far.at = f"{release['phase']}; nothing more is ended, waits until nothing is left to do"
        wait_quiet(pipeline)
        how_far.at = f"{release['phase']}; looks for what is wrong"
        return _report(plan, pipeline, position, release, seconds, disturbances)


def build(pipeline: Pipeline, circuits: Sequence[str]) -> None:
    """What training leaves: a validated model and a test input per circuit."""
    azure_ml = pipeline.stack.azure_ml
    plan = {"subscription_id": azure_ml.subscription_id, "build_id": BUILD, "circuits": [entry(c) for c in circuits]}
    done = subprocess.run(
        [sys.executable, "-m", "tests.chaos.cheap_build"],
        input=json.dumps(plan),
        env=clean_environment() | {**azure_ml.env, **azure_ml.builder_env, "PYTHONWARNINGS": "ignore"},
        cwd=ROOT,
        check=False,
        capture_output=True,
        text=True,
        timeout=SEEDED_WITHIN_SECONDS,
    )
    assert done.returncode == 0, done.stderr[-3000:]


# ---------------------------------------------------------------------------------------------- as a person


def follow(
    pipeline: Pipeline,
    within_seconds: float,
    looked_at: Callable[[Invitation], object] | None = None,
    *,
    seen_so_far: Callable[[Json], None] = lambda _release: None,
) -> Json:
    """Until the release has ended; its gates are answered by whoever got the mail, and `looked_at` it before.

    Raises:
        AssertionError: it has not ended; tells where its circuits stand.
    """
    deadline, last = time.monotonic() + within_seconds, dict[str, Any]()
    while last.get("phase") not in ENDED:
        standing = Counter(circuit["phase"] for circuit in last.get("circuits", ()))
        assert time.monotonic() < deadline, f"not ended in time: {last.get('phase')}, circuits {dict(standing)}"
        time.sleep(LOOK_EVERY_SECONDS)
        last = seen(pipeline) or last
        seen_so_far(last)
        answer_open_gates(pipeline, last, looked_at)
    return last


def seen(pipeline: Pipeline) -> Json | None:
    """The release, if the app is up to tell of it."""
    try:
        reply = pipeline.call("GET", f"/api/releases/{RELEASE_ID}")
        return reply.json() if reply.status == 200 else None
    except OUT_OF_REACH:
        return None


def answer_open_gates(pipeline: Pipeline, release: Json, looked_at: Callable[[Invitation], object] | None) -> None:
    """From the mail, by the page's form; whoever finds the page gone comes back a moment later."""
    for gate in release.get("gates", ()):
        if gate["state"] == "open":
            with suppress(*OUT_OF_REACH):
                found = invitation(Mailbox(pipeline.stack).mails(), RELEASE_ID, gate["gate"])
                if found is not None:
                    if looked_at is not None:
                        looked_at(found)
                    decide(found, "approve", "Looked at, whatever broke meanwhile.")


def wait_quiet(pipeline: Pipeline) -> None:
    """Until no message waits, nobody has to be told any more, and the release is off the list of active ones."""

    def is_quiet() -> bool:
        waiting = any(count for queue in pipeline.queues().values() for count in queue.values())
        with TableServiceClient.from_connection_string(pipeline.stack.table_connection_string) as tables:
            active = next(iter(tables.get_table_client("active").list_entities()), None)
        return not waiting and active is None

    with suppress(AssertionError):  # whatever is left is a finding
        wait_until(is_quiet, "nothing is left to do", QUIET_WITHIN_SECONDS)


# ------------------------------------------------------------------------------------------------ the report


def _report(  # noqa: PLR0917 - what there is to tell
    plan: Plan, pipeline: Pipeline, position: int, release: Json, seconds: float, disturbances: Disturbances
) -> Report:
    azure_ml, service_bus = pipeline.azure_ml(position), pipeline.service_bus()
    told = pipeline.places.log("app").read_text(encoding="utf-8", errors="replace")
    inbox = mails(pipeline.stack)
    return Report(
        plan=plan,
        release=release,
        seconds=seconds,
        done=disturbances.done,
        faults=Counter(one["fault"] for one in azure_ml if one["fault"]),
        ml_requests=len(azure_ml),
        messages=Counter(one["op"] for one in service_bus),
        redelivered=sum(one["op"] == "deliver" and one["delivery_count"] > 0 for one in service_bus),
        log={name: len(pattern.findall(told)) for name, pattern in IN_THE_LOG.items()},
        mails=len(inbox),
        mails_again=delivered_again(pipeline.stack),
        findings=everything_wrong(pipeline, release, azure_ml),
    )
