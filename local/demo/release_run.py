"""One release from its models in Dev to its end: what a test drives, and what the demo shows."""

import time
from dataclasses import dataclass
from datetime import timedelta

from azure.storage.blob import BlobServiceClient

from local.demo.approver import Approver
from local.demo.conditions import under
from local.demo.journals import azure_ml_journal, trespasses
from local.demo.mailbox import Mailbox
from local.demo.manifest import Artifact, next_artifact, of_plants, upload, with_unseen_cutoff
from local.demo.options import Scenario
from local.demo.releases import Looks, Release, ReleasesApi, is_over
from local.demo.scenarios import STORIES, complaints, doubles
from local.demo.seeding import leftovers, make_by_hand, seed
from local.demo.shown import shown
from local.demo.stats import Meters, Readings
from local.demo.views import View
from local.stack.description import Stack

LOOK_EVERY_SECONDS = 0.4


class TimeIsUpError(Exception):
    """The release did not end within its limit; the message says where it stood."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How a release ended, what is wrong with that, and how often we looked."""

    release: Release
    complaints: tuple[str, ...]
    looks: Looks
    counted: Readings | None = None
    """The meters when it had ended, if there were any."""
    shown: tuple[str, ...] = ()
    """What a reader of the story should not miss."""


def prepare(stack: Stack, scenario: Scenario) -> tuple[Artifact, str]:
    """Choose the next free release number and have the build leave its models; says what it left.

    Raises:
        SeedingError: the models could not be registered.
    """
    api, story = ReleasesApi(stack), STORIES[scenario]
    artifact = next_artifact(lambda release_id: api.is_known(release_id) or _is_uploaded(stack, release_id))
    if story.unseen_cutoff:
        artifact = with_unseen_cutoff(artifact)
    if story.plants:
        # What is made by hand must be new, whatever earlier demos left: plants of this release's own.
        number = artifact.release_id.partition(".")[2]
        artifact = of_plants(artifact, f"{story.plants}{number}-" if story.made_by_hand else story.plants)
    told = [seed(stack, artifact, story.traits)]
    if story.made_by_hand:
        told.append(make_by_hand(stack, artifact.content["circuits"][:1]))
    return artifact, "; ".join(told)


def run_release(
    stack: Stack,
    artifact: Artifact,
    scenario: Scenario,
    view: View,
    *,
    auto: bool,
    limit: timedelta,
    meters: Meters | None = None,
) -> Outcome:
    """Upload the artifact, follow the release to its end, compare the end with the scenario.

    Raises:
        TimeIsUpError: it did not end in time; waiting for a person does not count.
        ApprovalError: an automatic decision could not be made.
    """
    story, journal, api = STORIES[scenario], azure_ml_journal(stack).from_now(), ReleasesApi(stack)
    approver = Approver(mailbox=Mailbox(stack), story=story) if auto else None
    with view, under(story.conditions, stack):
        upload(stack, artifact)
        release = _follow(api, artifact.release_id, view, approver, limit)
    counted = meters.read() if meters else None
    found = complaints(story, release)
    left = leftovers(stack, release) if story.leaves_one_of_each else {}
    entries = journal.entries()
    found += doubles(left)
    found += [f"a write that must not be: {write}" for write in trespasses(entries, release)]
    told = shown(release, left, entries)
    return Outcome(release=release, complaints=tuple(found), looks=api.looks, counted=counted, shown=tuple(told))


def _follow(api: ReleasesApi, release_id: str, view: View, approver: Approver | None, limit: timedelta) -> Release:
    deadline = time.monotonic() + limit.total_seconds()
    release: Release | None = None
    while time.monotonic() < deadline:
        release = api.get(release_id)
        if release:
            view.show(release)
            if is_over(release):
                return release
            if approver and (done := approver.look_at(release)):
                view.say(done)
            if not approver and _waits_for_a_person(release):
                deadline = time.monotonic() + limit.total_seconds()
        time.sleep(LOOK_EVERY_SECONDS)
    raise TimeIsUpError(_standing(release_id, release, limit))


def _waits_for_a_person(release: Release) -> bool:
    return any(gate["state"] == "open" for gate in release["gates"])


def _standing(release_id: str, release: Release | None, limit: timedelta) -> str:
    minutes = limit.total_seconds() / 60
    if release is None:
        return f"Release {release_id} did not appear within {minutes:g} minutes after its artifact was uploaded."
    circuits = ", ".join(f"{c['plant_id']}/{c['circuit_id']} {c['phase']}" for c in release["circuits"])
    return f"Release {release_id} is still {release['phase']} after {minutes:g} minutes ({circuits})."


def _is_uploaded(stack: Stack, release_id: str) -> bool:
    """An artifact of an interrupted demo may lie there although its release has not begun yet."""
    with BlobServiceClient.from_connection_string(stack.blob_connection_string) as storage:
        container = storage.get_container_client(stack.artifact_container)
        return any(True for _ in container.list_blob_names(name_starts_with=f"releases/{release_id}/"))
