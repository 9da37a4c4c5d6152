"""Jobs as the resource manager shows them: a batch job is a pipeline; its child is known by name only."""

from typing import Any

from local.azure_ml.arm.training import TRAINING, find_training, training_view
from local.azure_ml.calls import Call, Reply, World, page_of, timestamp
from local.azure_ml.errors import not_found
from local.azure_ml.jobs import JOBS, RUNS, TERMINAL
from local.azure_ml.operations import arm_url, begin
from local.azure_ml.scoring import job_properties, job_tags
from local.azure_ml.settings import Workspace
from local.azure_ml.store import Document

PREFIX = "jc:"


def find_job(world: World, workspace: Workspace, name: str) -> tuple[Document, bool]:
    """The job of a name, and whether the name is its child run's.

    Raises:
        ServiceError: 404.
    """
    if (job := world.store.get(JOBS, f"{workspace.name}/{name}")) is not None:
        return job, False
    run = world.store.get(RUNS, f"{workspace.name}/{name}")
    if run is not None and (job := world.store.get(JOBS, run["job"])) is not None:
        return job, True
    raise not_found(f"Run {name} was not found.")


async def get_job(world: World, call: Call) -> Reply:
    """One job; a child run has no properties here."""
    if (trained := find_training(world, call.workspace, call.params["job"])) is not None:
        return Reply(body=training_view(call.workspace, trained))
    job, is_child = find_job(world, call.workspace, call.params["job"])
    if is_child:
        return Reply(body={**_head(call.workspace, job["child"]["id"]), "properties": None, "systemData": None})
    return Reply(body=_job(call.workspace, job))


async def list_jobs(world: World, call: Call) -> Reply:
    """All jobs of the workspace, the newest first."""
    workspace, prefix = call.workspace, f"{call.workspace.name}/"
    found = [_job(workspace, job) for job in world.store.find_all(JOBS, prefix)]
    found += [training_view(workspace, job) for job in world.store.find_all(TRAINING, prefix)]
    found.sort(key=lambda job: str(job["systemData"]["createdAt"]), reverse=True)
    return page_of(world, call, found)


async def post_cancel(world: World, call: Call) -> Reply:
    """Ask a job to stop; one that has ended stays as it is."""
    if find_training(world, call.workspace, call.params["job"]) is not None:
        return Reply()
    job, _ = find_job(world, call.workspace, call.params["job"])
    if job["status"] in TERMINAL:
        return Reply()
    operation = begin(world, call, prefix=PREFIX, duration="job_cancel", scope=call.workspace, result={})
    if operation["error"] is None and operation["ready_at"] is not None:
        world.jobs.cancel(job)
    url = arm_url(operation, "mfeOperationResults", call.query.get("api-version", ""))
    return Reply(status=202, null=True, headers={"Location": url, "x-ms-async-operation-timeout": "PT1H"})


def _head(workspace: Workspace, name: str) -> dict[str, Any]:
    job_id = f"{workspace.arm_id}/jobs/{name}"
    return {"id": job_id, "name": name, "type": "Microsoft.MachineLearningServices/workspaces/jobs"}


def _job(workspace: Workspace, job: Document) -> dict[str, Any]:
    studio = f"https://ml.azure.com/runs/{job['name']}?wsid={workspace.arm_id}"
    tracking = f"azureml://{workspace.region}.api.azureml.ms/mlflow/v1.0{workspace.arm_id}?"
    services = {
        "Tracking": {"jobServiceType": "Tracking", "endpoint": tracking, "status": None, "port": None},
        "Studio": {"jobServiceType": "Studio", "endpoint": studio, "status": None, "port": None},
    }
    properties = {
        "jobType": "Pipeline",
        "description": None,
        "tags": job_tags(job),
        "properties": job_properties(job),
        "displayName": job["display_name"],
        "status": job["status"],
        "experimentName": job["endpoint"],
        "services": services,
        "computeId": None,
        "isArchived": False,
        "identity": None,
        "settings": {},
        "jobs": {},
        "inputs": {},
        "outputs": {},
        "sourceJobId": None,
    }
    made = {"createdAt": timestamp(job["created_at"]), "createdBy": job["created_by"], "createdByType": "Application"}
    return {**_head(workspace, job["name"]), "properties": properties, "systemData": made}
