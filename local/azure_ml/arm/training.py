"""Training jobs: command jobs that somebody else runs. What is kept is that they were, so that models can name theirs.

The build that submits one does the work itself and writes the run's artifacts, as the job's process would.
"""

import re
from typing import Any

from local.azure_ml.asked import tags_of
from local.azure_ml.calls import Call, Reply, World, timestamp
from local.azure_ml.errors import conflict, invalid, not_found
from local.azure_ml.names import check_asset_name
from local.azure_ml.settings import Workspace
from local.azure_ml.store import Document

TRAINING = "training_jobs"
ARTIFACTS = "workspaceartifactstore"
OUTPUT_OF_JOB = re.compile(r"azureml://jobs/(?P<job>[^/]+)/outputs/artifacts/paths/(?P<path>.+)")
OUTPUT_OF_RUN = re.compile(
    rf"azureml://.*/datastores/{ARTIFACTS}/paths/ExperimentRun/dcid\.(?P<job>[^/]+)/.+", re.IGNORECASE
)
TARGET = re.compile(r".*/computes/(?P<name>[^/]+)")


async def put_job(world: World, call: Call) -> Reply:
    """Record a command job as one that has run; nothing is run here."""
    workspace, name, asked = call.workspace, call.params["job"], call.properties
    check_asset_name("job", name)
    if asked.get("jobType") != "Command":
        raise invalid("The stand-in records jobs of type 'Command' and runs batch jobs; it knows no others.")
    if find_training(world, workspace, name) is not None:
        raise conflict(f"A job with the name '{name}' exists already.")
    job = {"name": name, "at": world.now(), "by": call.caller.object_id, "asked": asked}
    world.store.put(TRAINING, f"{workspace.name}/{name}", job)
    return Reply(status=201, body=training_view(workspace, job))


def find_training(world: World, workspace: Workspace, name: str) -> Document | None:
    return world.store.get(TRAINING, f"{workspace.name}/{name}")


def training_view(workspace: Workspace, job: Document) -> dict[str, Any]:
    """The job as the resource manager shows it."""
    asked, job_id = job["asked"], f"{workspace.arm_id}/jobs/{job['name']}"
    studio = f"https://ml.azure.com/runs/{job['name']}?wsid={workspace.arm_id}"
    services = {"Studio": {"jobServiceType": "Studio", "endpoint": studio, "status": None, "port": None}}
    given = {"displayName": job["name"], "experimentName": "Default", "description": None, "tags": {}, "inputs": {}}
    shown = {**given, **{key: value for key, value in asked.items() if value is not None}}
    return {
        "id": job_id,
        "name": job["name"],
        "type": "Microsoft.MachineLearningServices/workspaces/jobs",
        "properties": {"properties": {}, **shown, "status": "Completed", "services": services},
        "systemData": {"createdAt": timestamp(job["at"]), "createdBy": job["by"], "createdByType": "Application"},
    }


def training_run(workspace: Workspace, job: Document) -> dict[str, Any]:
    """The job as the run history shows it; it was over at once."""
    at, asked = timestamp(job["at"]), job["asked"]
    target = TARGET.fullmatch(asked.get("computeId") or "")
    return {
        "runId": job["name"],
        "runUuid": job["name"],
        "rootRunId": job["name"],
        "parentRunId": None,
        "experimentId": workspace.guid,
        "displayName": asked.get("displayName") or job["name"],
        "runType": "azureml.commandjob",
        "status": "Completed",
        "createdUtc": at,
        "startTimeUtc": at,
        "endTimeUtc": at,
        "lastModifiedUtc": at,
        "createdBy": {"userObjectId": job["by"], "userName": "stand-in"},
        "userId": job["by"],
        "target": target["name"] if target else None,
        "error": None,
        "warnings": None,
        "hidden": False,
        "tags": tags_of(asked),
        "properties": asked.get("properties") or {},
        "inputs": {},
        "outputs": {},
    }


def resolved(world: World, workspace: Workspace, uri: str) -> tuple[str, str | None]:
    """Where a model's URI leads, and the job that it names: outputs of a job lie in the workspace's artifact store.

    Raises:
        ServiceError: 404 for the output of a job that was never there.
    """
    if (match := OUTPUT_OF_JOB.fullmatch(uri)) is not None:
        job = match["job"]
        group = f"azureml://subscriptions/{workspace.subscription_id}/resourceGroups/{workspace.resource_group}"
        store = f"{group}/workspaces/{workspace.name}/datastores/{ARTIFACTS}"
        uri = f"{store}/paths/ExperimentRun/dcid.{job}/{match['path'].rstrip('/')}"
    elif (match := OUTPUT_OF_RUN.fullmatch(uri)) is None:
        return uri, None
    if find_training(world, workspace, match["job"]) is None:
        raise not_found(f"Run {match['job']} was not found.")
    return uri, match["job"]
