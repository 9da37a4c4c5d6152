"""All requests that are answered: (operation, method, host, path) -> (kind, handler, right needed, token for whom)."""

import re
from collections.abc import Iterator

from local.azure_ml import assets as models
from local.azure_ml import data_plane, registry, scoring, sign_in
from local.azure_ml import operations as long_operations
from local.azure_ml.arm import deployments, endpoints, jobs, online, training, workspaces
from local.azure_ml.calls import Audience, Handler, Kind, Route
from local.azure_ml.settings import Right

ARM = r"management\.azure\.com"
API = r"[a-z0-9-]+\.api\.azureml\.ms"
MFE = r"[a-z0-9.-]+\.(?:experiments\.azureml\.net|api\.azureml\.ms)"
SCORING = r"[A-Za-z0-9-]+\.[a-z0-9-]+\.inference\.ml\.azure\.com"
LOGIN = r"login\.microsoftonline\.com"

PROVIDER = "/providers/Microsoft.MachineLearningServices"
S = "/subscriptions/{subscription}/resourceGroups/{group}" + PROVIDER
W = S + "/workspaces/{workspace}"
R = "/mferp/managementfrontend" + S + "/registries/{registry}"
L = "/subscriptions/{subscription}" + PROVIDER + "/locations/{location}"
E = W + "/batchEndpoints/{endpoint}"
D = E + "/deployments/{deployment}"
OE = W + "/onlineEndpoints/{endpoint}"
OD = OE + "/deployments/{deployment}"
VERSION = "/models/{name}/versions/{version}"
H = "/history/v1.0" + W
FRONTEND = "/mferp/managementfrontend"

READ, WRITE = Kind.READ, Kind.WRITE
FOR_ARM, FOR_ML, FOR_EITHER = (Audience.ARM,), (Audience.ML,), (Audience.ARM, Audience.ML)

type Row = tuple[str, str, str, str, Kind, Handler]

ARM_ROWS: tuple[Row, ...] = (
    ("workspaces.get", "GET", ARM, W, READ, workspaces.get_workspace),
    ("computes.list", "GET", ARM, W + "/computes", READ, workspaces.list_computes),
    ("computes.get", "GET", ARM, W + "/computes/{compute}", READ, workspaces.get_compute),
    ("datastores.list", "GET", ARM, W + "/datastores", READ, workspaces.list_datastores),
    ("datastores.get", "GET", ARM, W + "/datastores/{datastore}", READ, workspaces.get_datastore),
    ("datastores.secrets", "POST", ARM, W + "/datastores/{datastore}/listSecrets", READ, workspaces.list_secrets),
    ("models.list", "GET", ARM, W + "/models", READ, models.list_containers),
    ("models.container", "GET", ARM, W + "/models/{name}", READ, models.get_container),
    ("models.versions", "GET", ARM, W + "/models/{name}/versions", READ, models.list_versions),
    ("models.get", "GET", ARM, W + VERSION, READ, models.get_version),
    ("models.put", "PUT", ARM, W + VERSION, WRITE, models.put_version),
    ("endpoints.list", "GET", ARM, W + "/batchEndpoints", READ, endpoints.list_endpoints),
    ("endpoints.get", "GET", ARM, E, READ, endpoints.get_endpoint),
    ("endpoints.put", "PUT", ARM, E, WRITE, endpoints.put_endpoint),
    ("endpoints.patch", "PATCH", ARM, E, WRITE, endpoints.patch_endpoint),
    ("endpoints.delete", "DELETE", ARM, E, WRITE, endpoints.delete_endpoint),
    ("deployments.list", "GET", ARM, E + "/deployments", READ, deployments.list_deployments),
    ("deployments.get", "GET", ARM, D, READ, deployments.get_deployment),
    ("deployments.put", "PUT", ARM, D, WRITE, deployments.put_deployment),
    ("deployments.patch", "PATCH", ARM, D, WRITE, deployments.patch_deployment),
    ("deployments.delete", "DELETE", ARM, D, WRITE, deployments.delete_deployment),
    ("online.list", "GET", ARM, W + "/onlineEndpoints", READ, online.list_endpoints),
    ("online.get", "GET", ARM, OE, READ, online.get_endpoint),
    ("online.put", "PUT", ARM, OE, WRITE, online.put_endpoint),
    ("online.delete", "DELETE", ARM, OE, WRITE, online.delete_endpoint),
    ("online.deployments.list", "GET", ARM, OE + "/deployments", READ, online.list_deployments),
    ("online.deployments.get", "GET", ARM, OD, READ, online.get_deployment),
    ("online.deployments.put", "PUT", ARM, OD, WRITE, online.put_deployment),
    ("online.deployments.delete", "DELETE", ARM, OD, WRITE, online.delete_deployment),
    ("jobs.list", "GET", ARM, W + "/jobs", READ, jobs.list_jobs),
    ("jobs.get", "GET", ARM, W + "/jobs/{job}", READ, jobs.get_job),
    ("jobs.put", "PUT", ARM, W + "/jobs/{job}", WRITE, training.put_job),
    ("jobs.cancel", "POST", ARM, W + "/jobs/{job}/cancel", WRITE, jobs.post_cancel),
    ("operations.status", "GET", ARM, L + "/mfeOperationsStatus/{operation}", READ, long_operations.get_status),
    ("operations.results", "GET", ARM, L + "/mfeOperationResults/{operation}", READ, long_operations.get_results),
)

REGISTRY_ROWS: tuple[Row, ...] = (
    ("registry.models.list", "GET", MFE, R + "/models", READ, models.list_containers),
    ("registry.models.container", "GET", MFE, R + "/models/{name}", READ, models.get_container),
    ("registry.models.versions", "GET", MFE, R + "/models/{name}/versions", READ, models.list_versions),
    ("registry.models.get", "GET", MFE, R + VERSION, READ, models.get_version),
    ("registry.models.put", "PUT", MFE, R + VERSION, WRITE, registry.put_version),
    (
        "registry.uploads.put",
        "PUT",
        MFE,
        R + "/tempdatarefs/{name}/versions/{version}",
        WRITE,
        registry.put_upload_place,
    ),
    (
        "registry.downloads.post",
        "POST",
        MFE,
        R + "/datarefs/{name}/versions/{version}",
        READ,
        registry.post_download_place,
    ),
    ("registry.import", "POST", MFE, R + "/import", WRITE, registry.post_import),
)

DATA_PLANE_ROWS: tuple[Row, ...] = (
    ("runs.get", "GET", API, H + "/runs/{run}", READ, data_plane.get_run),
    ("runs.children", "GET", API, H + "/runs/{run}/children", READ, data_plane.get_children),
    ("runs.data", "POST", API, H + "/rundata", READ, data_plane.post_run_data),
    (
        "data.resolve",
        "POST",
        API,
        "/data/v1.0" + W + "/dataversion/batchGetResolvedUris",
        READ,
        data_plane.post_resolve_uris,
    ),
    ("endpoints.jobs", "GET", API, FRONTEND + E + "/jobs", READ, data_plane.list_deployment_jobs),
    ("deployments.jobs", "GET", API, FRONTEND + D + "/jobs", READ, data_plane.list_deployment_jobs),
    (
        "registry.operations",
        "GET",
        API,
        "/assetstore/v1.0/operations/{operation}",
        READ,
        long_operations.get_registry_operation,
    ),
    (
        "registry.discover",
        "GET",
        API,
        "/registrymanagement/v1.0/registries/{registry}/discovery",
        READ,
        registry.get_discovery,
    ),
)

SCORING_ROWS: tuple[Row, ...] = (("jobs.invoke", "POST", SCORING, "/jobs", WRITE, scoring.post_job),)

OPEN_ROWS: tuple[Row, ...] = (
    ("workspaces.discover", "GET", API, "/discovery", READ, workspaces.get_discovery),
    ("tokens.instance", "GET", LOGIN, "/common/discovery/instance", READ, sign_in.get_instance),
    ("tokens.tenant", "GET", LOGIN, "/{tenant}/v2.0/.well-known/openid-configuration", READ, sign_in.get_configuration),
    ("tokens.post", "POST", LOGIN, "/{tenant}/oauth2/v2.0/token", READ, sign_in.post_token),
)


def all_routes() -> Iterator[Route]:
    """Every route, with the rights and audiences of its group."""
    groups = (
        (ARM_ROWS, FOR_ARM),
        (REGISTRY_ROWS, FOR_ARM),
        (DATA_PLANE_ROWS, FOR_EITHER),
        (SCORING_ROWS, FOR_ML),
        (OPEN_ROWS, ()),
    )
    for rows, audiences in groups:
        for operation, method, host, path, kind, handler in rows:
            yield Route(
                operation=operation,
                method=method,
                host=re.compile(host, re.IGNORECASE),
                path=_pattern(path),
                kind=kind,
                handler=handler,
                needs=Right.WRITE if kind is Kind.WRITE else Right.READ,
                audiences=audiences,
            )


def _pattern(path: str) -> re.Pattern[str]:
    """`{name}` stands for one segment; the resource manager does not care about case."""
    parts = re.split(r"\{(\w+)\}", path)
    return re.compile(
        "".join(re.escape(part) if index % 2 == 0 else f"(?P<{part}>[^/]+)" for index, part in enumerate(parts)),
        re.IGNORECASE,
    )
