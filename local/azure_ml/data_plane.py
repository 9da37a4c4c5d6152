"""The data plane of a workspace: run history, resolved outputs, and the jobs of endpoints and deployments."""

from typing import Any

from local.azure_ml.arm.endpoints import known_endpoint
from local.azure_ml.arm.jobs import find_job
from local.azure_ml.arm.training import find_training, training_run
from local.azure_ml.calls import Call, Reply, World, page_of, timestamp
from local.azure_ml.errors import invalid
from local.azure_ml.jobs import JOBS, RUNS
from local.azure_ml.scoring import job_properties, job_tags, scoring_view
from local.azure_ml.settings import Workspace
from local.azure_ml.store import Document

SCORE = "score"


async def get_run(world: World, call: Call) -> Reply:
    """One run: a job or its child."""
    return Reply(body=_run(world, call.workspace, call.params["run"]))


async def get_children(world: World, call: Call) -> Reply:
    """The child runs of a job: none before it has begun, one afterwards."""
    if find_training(world, call.workspace, call.params["run"]) is not None:
        return Reply(body={"value": []})
    job, is_child = find_job(world, call.workspace, call.params["run"])
    if is_child or job["child"]["created_at"] is None:
        return Reply(body={"value": []})
    return page_of(world, call, [_run(world, call.workspace, job["child"]["id"])])


async def post_run_data(world: World, call: Call) -> Reply:
    """A run with its outputs."""
    run_id = (call.body or {}).get("runId")
    if not run_id:
        raise invalid("The request names no 'runId'.")
    return Reply(
        body={"runMetadata": _run(world, call.workspace, run_id), "runDefinition": None, "jobSpecification": None}
    )


async def post_resolve_uris(world: World, call: Call) -> Reply:
    """Where the data assets lie that runs have written."""
    workspace, values = call.workspace, {}
    for asset_id in (call.body or {}).get("values") or []:
        child = asset_id.partition("azureml_")[2].partition("_output")[0]
        if world.store.get(RUNS, f"{workspace.name}/{child}") is not None:
            values[asset_id] = {"uri": _output_uri(workspace, child), "type": "UriFolder"}
    return Reply(body={"values": values})


async def list_deployment_jobs(world: World, call: Call) -> Reply:
    """The jobs of one deployment, or of all of an endpoint, the newest first."""
    endpoint = known_endpoint(world, call.workspace, call.params["endpoint"])
    wanted = call.params.get("deployment")
    found = [
        job
        for job in world.store.find_all(JOBS, f"{call.workspace.name}/")
        if job["endpoint"] == endpoint["name"] and wanted in (None, job["deployment"]["name"])
    ]
    found.sort(key=lambda job: float(job["created_at"]), reverse=True)
    return page_of(world, call, [scoring_view(call.workspace, job) for job in found])


def _output_uri(workspace: Workspace, child: str) -> str:
    group = f"azureml://subscriptions/{workspace.subscription_id}/resourcegroups/{workspace.resource_group}"
    return f"{group}/workspaces/{workspace.name}/datastores/workspaceblobstore/paths/azureml/{child}/{SCORE}/"


def _run(world: World, workspace: Workspace, run_id: str) -> dict[str, Any]:
    if (trained := find_training(world, workspace, run_id)) is not None:
        return training_run(workspace, trained)
    job, is_child = find_job(world, workspace, run_id)
    part = job["child"] if is_child else job
    shared = {
        "rootRunId": job["name"],
        "createdUtc": _moment(part["created_at"]),
        "createdBy": {"userObjectId": job["created_by"], "userName": "stand-in"},
        "userId": job["created_by"],
        "status": part["status"],
        "startTimeUtc": _moment(part["started_at"]),
        "endTimeUtc": _moment(part["ended_at"]),
        "lastModifiedUtc": _moment(part["ended_at"] or part["started_at"] or part["created_at"]),
        "runId": run_id,
        "runUuid": job["child"]["id"],
        "experimentId": workspace.guid,
        "error": {"error": part["error"]} if part["error"] else None,
        "warnings": None,
        "target": job["deployment"]["properties"]["compute"].rpartition("/")[2],
        "hidden": False,
        "inputs": {},
    }
    return {**shared, **(_child_part(workspace, job) if is_child else _parent_part(job))}


def _parent_part(job: Document) -> dict[str, Any]:
    return {
        "parentRunId": None,
        "displayName": job["display_name"],
        "runType": "azureml.PipelineRun",
        "tags": job_tags(job),
        "properties": job_properties(job),
        "outputs": {},
    }


def _child_part(workspace: Workspace, job: Document) -> dict[str, Any]:
    child = job["child"]
    outputs = {}
    if child["has_output"]:
        place = f"azureml://locations/{workspace.region}/workspaces/{workspace.guid}/data"
        asset_id = f"{place}/azureml_{child['id']}_output_data_{SCORE}/versions/1"
        outputs[SCORE] = {"assetId": asset_id, "type": "UriFolder"}
    return {
        "parentRunId": job["name"],
        "name": "batchscoring",
        "displayName": "batchscoring",
        "runType": "azureml.StepRun",
        "tags": {},
        "properties": {"azureml.moduleName": "batchscoring", "azureml.parentrunid": job["name"]},
        "outputs": outputs,
    }


def _moment(moment: float | None) -> str | None:
    return None if moment is None else timestamp(moment)
