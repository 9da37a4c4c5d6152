"""Hundreds of circuits in one release on the whole local stack: host, storage, broker, Azure ML stand-in, mail.

The stand-in's operations take fractions of a second and its models cost nothing to score; everything else is as in a
demo. Prints how long each phase took, what was asked of tables, bus and Azure ML, and how large pages and mails are; then
looks from outside, with the real SDKs, at what the release has left. Goal: it succeeds and nothing is wrong.

    python -m benchmarks.scale_on_the_stack [--circuits 500] [--keep DIRECTORY]
"""

import argparse
import json
import re
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Mapping
from datetime import datetime
from itertools import pairwise
from pathlib import Path

from local.demo.http import Http
from local.demo.mailbox import Invitation
from tests.chaos.ordeal import BUILD, RELEASE_ID, Plan, build, follow, stack_of_its_own, wait_quiet
from tests.chaos.outside import everything_wrong, mails
from tests.support.pipeline import ARTIFACT_NAME, Json, Pipeline, entry
from tests.support.wire import exchange

WITHIN_SECONDS = 4 * 3600
MANY = "100000"
SETTINGS = {"ENDPOINT_QUOTA": MANY, "DEPLOYMENT_QUOTA": MANY, "SMOKE_SLOTS": "20"}
QUOTAS = {"endpoints_per_region": int(MANY), "deployments_per_region": int(MANY)}
TABLE_LINE = re.compile(r'"([A-Z]+) /devstoreaccount1/(\$batch|releases|active|index|endpoints|slots)\b')


def main() -> int:
    """1 if the release did not succeed, or if anything is wrong afterwards."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--circuits", type=int, default=500)
    parser.add_argument("--keep", type=Path, help="a directory for the stack, kept afterwards")
    asked = parser.parse_args()
    plan = Plan(circuits=asked.circuits, seed=0, blows=(), within_seconds=WITHIN_SECONDS)
    with (
        tempfile.TemporaryDirectory(prefix="scale-") as scratch,
        stack_of_its_own(asked.keep or Path(scratch), SETTINGS) as pipeline,
    ):
        allow_many(pipeline)
        began = time.monotonic()
        build(pipeline, plan.names)
        print(f"{plan.circuits} models in Dev after {time.monotonic() - began:.0f} s", flush=True)
        position, counted = pipeline.azure_ml_position(), len(storage_log(pipeline))
        pipeline.upload(
            f"releases/{RELEASE_ID}/{BUILD}/{ARTIFACT_NAME}", {"circuits": [entry(name) for name in plan.names]}
        )
        pages: dict[str, int] = {}
        release = follow(pipeline, plan.within_seconds, lambda found: pages.update(page_size(found)))
        wait_quiet(pipeline)
        tables = Counter(table for _, table in TABLE_LINE.findall(storage_log(pipeline)[counted:]))
        journal = pipeline.azure_ml(position)
        print(told(pipeline, release, tables, journal, pages), flush=True)
        wrong = everything_wrong(pipeline, release, journal)
    print("\n".join(["wrong:", *wrong]) if wrong else "nothing is wrong, seen from outside")
    return 1 if wrong else 0


def allow_many(pipeline: Pipeline) -> None:
    """Quotas that a region would have to be given first."""
    url = f"{pipeline.stack.azure_ml.admin_url}/settings"
    reply = exchange("POST", url, json.dumps({"quotas": QUOTAS}).encode(), {"Content-Type": "application/json"})
    assert reply.status == 200, reply.text


def storage_log(pipeline: Pipeline) -> str:
    return pipeline.places.log("storage").read_text(encoding="utf-8", errors="replace")


def told(pipeline: Pipeline, release: Json, tables: Counter[str], journal: list[Json], pages: Mapping[str, int]) -> str:
    """The numbers, for people."""
    circuits = release["total"]
    sent = [one for one in pipeline.service_bus() if one["op"] in {"send", "schedule"}]
    about = Counter(kind_of(one["message_id"]) for one in sent)
    lines = [
        f"{circuits} circuits: {release['phase']}; seconds by phase {phases(release)}",
        f"  table requests {tables.total()}, {tables.total() / circuits:.1f} per circuit: {dict(tables)}",
        f"  messages {len(sent)}, {about['circuit'] / circuits:.2f} per circuit about it; others {dict(about)}",
        f"  Azure ML requests {len(journal)}, {len(journal) / circuits:.0f} per circuit",
        f"  gates' pages in bytes {dict(pages)}, mails {mail_sizes(pipeline)}",
    ]
    return "\n".join(lines)


def kind_of(message_id: str) -> str:
    """What a message is about: a circuit, a fan-out, or one of the others."""
    parts = message_id.split("|")
    if "fan-out" in parts:
        return "fan-out"
    return "circuit" if len(parts) == 8 else parts[1]


def phases(release: Json) -> dict[str, int]:
    """Seconds from entering each phase of the release to leaving it."""
    moves = [line for line in release["history"] if line["what"].startswith("release: ")]
    steps = [(datetime.fromisoformat(line["at"]), line["what"].rpartition(" ")[2]) for line in moves]
    return {phase: round((after - at).total_seconds()) for (at, phase), (after, _) in pairwise(steps)}


def page_size(found: Invitation) -> dict[str, int]:
    """Of the page that an invitation leads to, as the approver sees it."""
    return {found.mail.subject: len(Http({"Accept": "text/html"}).get(found.link).text.encode())}


def mail_sizes(pipeline: Pipeline) -> dict[str, int]:
    """Text and HTML of the largest mail under each subject."""
    found: dict[str, int] = {}
    for mail in mails(pipeline.stack):
        size = len(mail.get("html", "").encode()) + len(mail.get("text", "").encode())
        found[mail["subject"]] = max(found.get(mail["subject"], 0), size)
    return found


if __name__ == "__main__":
    sys.exit(main())
