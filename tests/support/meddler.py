"""Somebody outside the pipeline who changes a live default in Production: `python -m tests.support.meddler …`.

Runs in a process of its own, because the client takes its proxy and its identity from the environment.
"""

import sys

from azure.ai.ml import MLClient
from azure.identity import DefaultAzureCredential


def meddle(subscription_id: str, endpoint: str, deployment: str) -> None:
    """What a click in the studio does."""
    client = MLClient(DefaultAzureCredential(), subscription_id, "rg-mlops-prod", "mlw-prod", polling_interval=1)
    found = client.batch_endpoints.get(endpoint)
    found.defaults.deployment_name = deployment
    client.batch_endpoints.begin_create_or_update(found).result()


if __name__ == "__main__":
    meddle(*sys.argv[1:])
