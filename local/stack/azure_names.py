"""The Azure names of the local estate."""

from dataclasses import dataclass

SUBSCRIPTION_ID = "00000000-0000-0000-0000-000000000001"

APP_STORAGE = "devstoreaccount1"
# The development key that Microsoft publishes for this account name; every Azurite and every SDK knows it.
APP_STORAGE_KEY = "Eby8vdM02xNOcqFlqUwJPLlmEtlCDXJ1OUzFT50uSRZ6IFsuFq2UVErCz4I6tq/K1SZFPTOtr/KBHBeksoGMGw=="

ARTIFACT_CONTAINER = "build-artifacts"


@dataclass(frozen=True, slots=True, kw_only=True)
class Workspace:
    """A workspace of the estate and its resource group."""

    name: str
    resource_group: str


DEV = Workspace(name="mlw-dev", resource_group="rg-mlops-dev")
TEST = Workspace(name="mlw-test", resource_group="rg-mlops-test")
PRODUCTION = Workspace(name="mlw-prod", resource_group="rg-mlops-prod")
REGISTRY = "mlr-shared"
