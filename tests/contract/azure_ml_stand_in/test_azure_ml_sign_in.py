"""Who may do what: tokens, audiences, rights."""

import pytest
import requests
from azure.ai.ml.constants import AssetTypes
from azure.ai.ml.entities import BatchEndpoint, Model
from azure.core.exceptions import ClientAuthenticationError, HttpResponseError
from azure.identity import ClientSecretCredential, DefaultAzureCredential
from azure_ml_estate import IDENTITIES, SUBSCRIPTION, TENANT, StandIn, arm, credential, datastore, workspace

ARM_SCOPE = "https://management.azure.com/.default"


def test_the_default_credential_signs_in_with_the_environment_alone(stand_in: StandIn) -> None:
    """The app knows nothing but the three usual variables."""
    token = DefaultAzureCredential().get_token(ARM_SCOPE).token
    assert arm("GET", "mlw-test", "", token=token).status_code == 200


def test_a_wrong_secret_gets_no_token(stand_in: StandIn) -> None:
    """As Entra answers it: AADSTS7000215."""
    wrong = ClientSecretCredential(TENANT, IDENTITIES["app"]["client_id"], "not the secret")
    with pytest.raises(ClientAuthenticationError, match="AADSTS7000215"):
        wrong.get_token(ARM_SCOPE)


def test_a_token_for_another_audience_is_refused(stand_in: StandIn) -> None:
    """A token for Azure ML's data plane opens nothing at the resource manager."""
    token = credential().get_token("https://ml.azure.com/.default").token
    reply = arm("GET", "mlw-test", "", token=token)
    assert (reply.status_code, reply.json()["error"]["code"]) == (401, "InvalidAuthenticationTokenAudience")


def test_an_expired_token_is_refused(stand_in: StandIn) -> None:
    """A token with no lifetime at all has expired when it arrives."""
    form = {
        "client_id": IDENTITIES["app"]["client_id"],
        "client_secret": IDENTITIES["app"]["client_secret"],
        "scope": ARM_SCOPE,
    }
    with stand_in.settings(token_seconds=0):
        reply = requests.post(f"https://login.microsoftonline.com/{TENANT}/oauth2/v2.0/token", data=form, timeout=10)
    refused = arm("GET", "mlw-test", "", token=reply.json()["access_token"])
    assert (refused.status_code, refused.json()["error"]["code"]) == (401, "ExpiredAuthenticationToken")


def test_a_forged_token_is_refused(stand_in: StandIn) -> None:
    """Changing a claim breaks the signature."""
    head, claims, signature = credential().get_token(ARM_SCOPE).token.split(".")
    assert arm("GET", "mlw-test", "", token=f"{head}.{claims}A.{signature}").status_code == 401


def test_the_app_cannot_write_to_dev(stand_in: StandIn) -> None:
    """The app only reads Dev; the service itself says so."""
    with pytest.raises(HttpResponseError, match="AuthorizationFailed") as refusal:
        workspace("mlw-dev").batch_endpoints.begin_create_or_update(BatchEndpoint(name="be-in-dev"))
    assert refusal.value.status_code == 403


def test_the_signature_that_the_app_gets_for_dev_only_reads(stand_in: StandIn) -> None:
    """Files of Dev can be read and listed, and not changed."""
    with datastore("mlw-dev") as container:
        list(container.list_blob_names())
        with pytest.raises(HttpResponseError) as refusal:
            container.upload_blob("never", b"written")
    assert refusal.value.status_code == 403


def test_the_builder_uploads_to_test_but_makes_nothing_there(stand_in: StandIn, unique: str) -> None:
    """Test data come from the build; endpoints and models in Test do not."""
    with datastore("mlw-test", "builder") as container:
        container.upload_blob(f"test-data/{unique}.csv", b"a,b\n")
    with pytest.raises(HttpResponseError, match="AuthorizationFailed"):
        workspace("mlw-test", "builder").batch_endpoints.begin_create_or_update(BatchEndpoint(name=f"be-{unique}"))


def test_a_workspace_is_found_only_where_it_lies(stand_in: StandIn) -> None:
    """Another resource group does not hold it."""
    url = (
        f"https://management.azure.com/subscriptions/{SUBSCRIPTION}/resourceGroups/rg-other/providers/"
        "Microsoft.MachineLearningServices/workspaces/mlw-test?api-version=2024-10-01-preview"
    )
    token = credential().get_token(ARM_SCOPE).token
    reply = requests.get(url, headers={"Authorization": f"Bearer {token}"}, timeout=10)
    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "ResourceNotFound")


def test_hosts_that_are_not_azure_are_not_carried(stand_in: StandIn) -> None:
    """The proxy says 502 rather than reaching out into the world."""
    with pytest.raises(requests.exceptions.ProxyError, match="502"):
        requests.get("https://example.com/", timeout=10)


def test_a_model_of_the_app_does_not_reach_dev(stand_in: StandIn, sklearn_folder: str, unique: str) -> None:
    """Registering a model in Dev fails at the upload or at the PUT, whichever comes first."""
    asked = Model(name=unique, version="1", path=sklearn_folder, type=AssetTypes.MLFLOW_MODEL)
    with pytest.raises(HttpResponseError):
        workspace("mlw-dev").models.create_or_update(asked)
