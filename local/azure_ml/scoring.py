"""The scoring host of an endpoint: a POST makes a batch job; the same name or request id makes no second one."""

import asyncio
import json
import uuid
from typing import Any

from azure.core.exceptions import AzureError

from local.azure_ml.arm.deployments import known_deployment
from local.azure_ml.arm.endpoints import endpoints_in_region
from local.azure_ml.assets import find
from local.azure_ml.calls import Call, Reply, World, timestamp
from local.azure_ml.errors import ArmError, conflict, invalid
from local.azure_ml.jobs import JOBS, Invocation, fresh_job
from local.azure_ml.names import check_asset_name
from local.azure_ml.resources import state_of
from local.azure_ml.settings import Workspace
from local.azure_ml.storage import UnknownPlace
from local.azure_ml.store import Document

REQUEST_IDS = "request_ids"
DEPLOYMENT_HEADER = "azureml-model-deployment"
SCORED_SUFFIX = ".csv"
REQUEST_ID_HEADER = "repeatability-request-id"


def endpoint_of_host(world: World, host: str) -> tuple[Workspace, Document]:
    """The endpoint whose scoring address this host is.

    Raises:
        ServiceError: 404.
    """
    name, region = host.split(".")[:2]
    for workspace, endpoint in endpoints_in_region(world, region):
        if endpoint["name"].lower() == name.lower():
            return workspace, endpoint
    raise ArmError(404, "NotFound", f"There is no endpoint '{name}' in region '{region}'.")


async def post_job(world: World, call: Call) -> Reply:
    """Start a job on the named deployment, or on the default one."""
    workspace, endpoint = endpoint_of_host(world, call.host)
    if state_of(endpoint) not in ("Succeeded", "Updating"):
        raise conflict(f"Endpoint '{endpoint['name']}' is in state '{state_of(endpoint)}' and takes no jobs now.")
    deployment = _deployment(world, call, workspace, endpoint)
    asked = call.properties
    asked_for = _invocation(world, call, workspace, endpoint, deployment)
    await _check_files(world, workspace, asked_for.input_uri)  # from here on nothing waits: one name, one job
    request_id = call.headers.get("repeatability_request-id") or call.headers.get(REQUEST_ID_HEADER)
    known = _known_job(world, workspace, asked.get("name"), request_id)
    if known is not None:
        return Reply(status=200, body=scoring_view(workspace, known), headers=_headers(workspace, known))
    job = fresh_job(workspace, asked_for, world.now())
    world.jobs.submit(job)
    if request_id:
        world.store.put(REQUEST_IDS, f"{workspace.name}/{request_id}", {"job": job["key"]})
    return Reply(status=201, body=scoring_view(workspace, job), headers=_headers(workspace, job))


def _known_job(world: World, workspace: Workspace, name: str | None, request_id: str | None) -> Document | None:
    if not world.settings.honour_job_names:
        return None
    if name and (job := world.store.get(JOBS, f"{workspace.name}/{name}")) is not None:
        return job
    known = world.store.get(REQUEST_IDS, f"{workspace.name}/{request_id}") if request_id else None
    return world.store.get(JOBS, known["job"]) if known else None


def _deployment(world: World, call: Call, workspace: Workspace, endpoint: Document) -> Document:
    name = call.headers.get(DEPLOYMENT_HEADER) or endpoint["properties"]["defaults"]["deploymentName"]
    if not name:
        raise invalid(f"Endpoint '{endpoint['name']}' has no default deployment: name one.")
    deployment = known_deployment(world, workspace, endpoint["name"], name)
    if state_of(deployment) not in ("Succeeded", "Updating"):
        raise conflict(f"Deployment '{name}' is in state '{state_of(deployment)}' and takes no jobs now.")
    return deployment


def _invocation(world: World, call: Call, workspace: Workspace, endpoint: Document, deployment: Document) -> Invocation:
    asked = call.properties
    kind, uri = _input(world, workspace, asked)
    model = find(world, deployment["properties"]["model"]["assetId"])
    if model is None:
        raise invalid(f"The model of deployment '{deployment['name']}' no longer exists.")
    name = asked.get("name") if world.settings.honour_job_names else None
    if name:
        check_asset_name("job", name)
    unique = uuid.uuid4()
    return Invocation(
        name=name or f"batchjob-{unique}",
        display_name=f"score_{endpoint['name']}_{unique.hex[:8]}",
        endpoint=endpoint["name"],
        deployment=deployment,
        model_uri=model["properties"]["modelUri"],
        input_uri=uri,
        input_type=kind,
        created_by=call.caller.object_id,
    )


def _input(world: World, workspace: Workspace, asked: dict[str, Any]) -> tuple[str, str]:
    """Type and URI of the one input, which must lead to a place that exists here."""
    if asked.get("outputData") or asked.get("outputDataset"):
        raise invalid("The stand-in writes outputs to the default datastore only.")
    inputs = [
        one for one in (asked.get("inputData") or {}).values() if str(one.get("jobInputType", "")).startswith("Uri")
    ]
    if len(inputs) != 1 or not inputs[0].get("uri"):
        raise invalid("Exactly one input of type UriFolder or UriFile with a 'uri' is needed.")
    try:
        world.blobs.locate(inputs[0]["uri"], workspace)
    except UnknownPlace as error:
        raise invalid(f"The input cannot be reached: {error}.") from error
    return str(inputs[0]["jobInputType"]), str(inputs[0]["uri"])


async def _check_files(world: World, workspace: Workspace, uri: str) -> None:
    """Refuse at once what the scorer could not read: the stand-in's limit must not look like the model's failure."""
    try:
        names = await asyncio.to_thread(world.blobs.names_in, world.blobs.locate(uri, workspace))
    except AzureError:
        return  # the job will say that its input can't be read
    strange = [name.rpartition("/")[2] for name in names if not name.lower().endswith(SCORED_SUFFIX)]
    if strange:
        raise invalid(f"The stand-in scores CSV files only; the input holds {', '.join(strange[:5])}.")


def _headers(workspace: Workspace, job: Document) -> dict[str, str]:
    deployment = job["deployment"]
    url = f"https://{workspace.region}.api.azureml.ms/mferp/managementfrontend{deployment['id']}"
    return {
        DEPLOYMENT_HEADER: deployment["name"],
        "Server": "azureml-frontdoor",
        "Location": f"{url}?api-version=2020-09-01-dataplanepreview",
    }


def scoring_view(workspace: Workspace, job: Document) -> dict[str, Any]:
    """A job as the scoring host and the lists of a deployment's jobs show it."""
    deployment = job["deployment"]
    properties = deployment["properties"]
    studio = f"https://ml.azure.com/runs/{job['name']}?wsid={workspace.arm_id}"
    place = {"description": None, "uri": job["input_uri"], "mode": "ReadOnlyMount", "jobInputType": job["input_type"]}
    target = {"target": properties["compute"], "instanceCount": None, "isLocal": False, "location": None}
    made = timestamp(job["created_at"])
    who = {"createdBy": job["created_by"], "lastModifiedBy": job["created_by"]}
    return {
        "id": f"{deployment['id']}/jobs/{job['name']}",
        "name": job["name"],
        "type": "Microsoft.MachineLearningServices/workspaces/batchEndpoints/deployments/jobs",
        "properties": {
            "provisioningState": "Succeeded",
            "inputData": {job["input_type"]: place},
            "compute": {**target, "instanceType": None, "properties": None},
            "output": {"datastoreId": None, "path": None},
            "retrySettings": properties["retrySettings"],
            "status": job["status"],
            "interactionEndpoints": {
                "Studio": {"jobEndpointType": "Studio", "port": None, "endpoint": studio, "properties": None}
            },
            "tags": job_tags(job),
            "properties": job_properties(job),
            "name": job["display_name"],
        },
        "systemData": {"createdAt": made, "lastModifiedAt": made, **who},
    }


def job_tags(job: Document) -> dict[str, str]:
    """The tags that mark a job as a batch deployment's."""
    return {
        "outputType": "output_data",
        "inputType": "input_data",
        "azureml.batchrun": "true",
        "azureml.deploymentname": job["deployment"]["name"],
        "azureml.jobtype": "azureml.batchjob",
    }


def job_properties(job: Document) -> dict[str, str]:
    """The run's properties; when it began and ended stands there too, once it has."""
    moments = {"StartTimeUtc": job["started_at"], "EndTimeUtc": job["ended_at"]}
    settings = job["deployment"]["properties"]
    parameters = {
        "run_max_try": settings["retrySettings"]["maxRetries"],
        "run_invocation_timeout": settings["retrySettings"]["timeout"],
        "mini_batch_size": settings["miniBatchSize"],
        "error_threshold": settings["errorThreshold"],
        "logging_level": settings["loggingLevel"].upper(),
        "process_count_per_node": settings["maxConcurrencyPerInstance"],
        "NodeCount": settings["resources"]["instanceCount"],
        "append_row_file_name": settings["outputFileName"],
    }
    return {
        "azureml.pipelineid": str(uuid.uuid5(uuid.NAMESPACE_URL, job["key"])),
        "azureml.parameters": json.dumps({name: str(value) for name, value in parameters.items()}),
        "azureml.runsource": "azureml.PipelineRun",
        "runSource": "Unavailable",
        "runType": "HTTP",
        "azureml.continue_on_step_failure": "False",
        "azureml.continue_on_failed_optional_input": "False",
        "azureml.pipelineComponent": "pipelinerun",
        **{name: timestamp(moment)[:19].replace("T", " ") for name, moment in moments.items() if moment},
    }
