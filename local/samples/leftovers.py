"""What a release has left in the Registry, in Test and in Production, counted with the real client.

Runs in a process of its own, because the client takes its proxy and its identity from the environment:
`python -m local.samples.leftovers < PLAN`; prints JSON, per circuit the versions, deployments and jobs.
"""

import contextlib
import json
import sys
from typing import Any

from azure.ai.ml import MLClient
from azure.identity import DefaultAzureCredential

from local.stack.azure_names import PRODUCTION, REGISTRY, TEST, Workspace


def main() -> int:
    """Count for the plan's release and circuits."""
    plan = json.load(sys.stdin)
    credential = DefaultAzureCredential()
    with contextlib.redirect_stdout(sys.stderr):  # the client prints its notices there
        registry = MLClient(credential, registry_name=REGISTRY)
        test, production = (_client(one, plan["subscription_id"], credential) for one in (TEST, PRODUCTION))
        found = {
            f"{circuit['plant_id']}/{circuit['circuit_id']}": _count(
                registry, test, production, circuit, plan["release_id"]
            )
            for circuit in plan["circuits"]
        }
    print(json.dumps(found))
    return 0


def _client(workspace: Workspace, subscription_id: str, credential: DefaultAzureCredential) -> MLClient:
    return MLClient(credential, subscription_id, workspace.resource_group, workspace.name)


def _count(registry: Any, test: Any, production: Any, circuit: dict[str, Any], release_id: str) -> dict[str, int]:
    model = f"{circuit['plant_id']}-{circuit['circuit_id']}".lower()
    tested = _deployments(test, circuit["test_endpoint"], release_id)
    jobs = [
        job.status
        for deployment in tested
        for job in test.batch_deployments.list_jobs(circuit["test_endpoint"], name=deployment)
    ]
    return {
        "model versions": sum(
            (registry.models.get(model, one.version).tags or {}).get("release_id") == release_id
            for one in registry.models.list(name=model)
        ),
        "deployments in Test": len(tested),
        "deployments in Production": len(_deployments(production, circuit["endpoint"], release_id)),
        "kept smoke jobs": sum(status != "Canceled" for status in jobs),
    }


def _deployments(client: Any, endpoint: str, release_id: str) -> list[str]:
    names = [one.name for one in client.batch_deployments.list(endpoint)]
    return [
        name
        for name in names
        if (client.batch_deployments.get(name, endpoint).tags or {}).get("release_id") == release_id
    ]


if __name__ == "__main__":
    sys.exit(main())
