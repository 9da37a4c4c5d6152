"""Unit: where Azure ML is, as the settings have it: workspaces, their groups and subscriptions, Registry and cluster."""

import pytest

from shared.adapters.azure_ml.clients import Clients, Scope, Workspace
from shared.config import Settings
from shared.domain.errors import ConfigurationError

DEFAULTS = {
    Workspace.DEV: ("rg-mlops-dev", "mlw-dev"),
    Workspace.TEST: ("rg-mlops-test", "mlw-test"),
    Workspace.PRODUCTION: ("rg-mlops-prod", "mlw-prod"),
}
PREFIX = {Workspace.DEV: "DEV", Workspace.TEST: "TEST", Workspace.PRODUCTION: "PROD"}


@pytest.fixture(autouse=True)
def nothing_is_set(monkeypatch: pytest.MonkeyPatch) -> None:
    """Of this machine's environment."""
    for name in Settings.model_fields:
        monkeypatch.delenv(name.upper(), raising=False)


@pytest.mark.parametrize("workspace", Workspace)
def test_a_workspace_is_where_the_document_says_unless_told_otherwise(
    workspace: Workspace, monkeypatch: pytest.MonkeyPatch
) -> None:
    """R45-R47: the document's names are defaults; group, name and subscription of each are settings of their own."""
    monkeypatch.setenv("AZURE_SUBSCRIPTION_ID", "everybody's")
    group, name = DEFAULTS[workspace]
    place = Scope(subscription_id="everybody's", resource_group=group, workspace=name)
    assert Clients(Settings()).scope(workspace) == place
    monkeypatch.setenv(f"{PREFIX[workspace]}_SUBSCRIPTION_ID", "its own")
    monkeypatch.setenv(f"{PREFIX[workspace]}_RESOURCE_GROUP", "its group")
    monkeypatch.setenv(f"{PREFIX[workspace]}_WORKSPACE", "its name")
    moved = Scope(subscription_id="its own", resource_group="its group", workspace="its name")
    assert {one: Clients(Settings()).scope(one) for one in Workspace} == {
        one: Scope(subscription_id="everybody's", resource_group=DEFAULTS[one][0], workspace=DEFAULTS[one][1])
        for one in Workspace
    } | {workspace: moved}


@pytest.mark.parametrize("workspace", Workspace)
def test_a_workspace_without_a_subscription_is_a_matter_of_configuration(workspace: Workspace) -> None:
    """R45-R47: the message names both settings that would help."""
    with pytest.raises(ConfigurationError, match=f"AZURE_SUBSCRIPTION_ID, or {PREFIX[workspace]}_SUBSCRIPTION_ID"):
        Clients(Settings()).scope(workspace)


def test_registry_and_cluster_have_the_documents_names_unless_told_otherwise(monkeypatch: pytest.MonkeyPatch) -> None:
    """R48."""
    assert (Settings().registry_name, Settings().compute_name) == ("mlr-shared", "batch-cluster")
    monkeypatch.setenv("REGISTRY_NAME", "mlr-other")
    monkeypatch.setenv("COMPUTE_NAME", "cpu")
    assert (Settings().registry_name, Settings().compute_name) == ("mlr-other", "cpu")
