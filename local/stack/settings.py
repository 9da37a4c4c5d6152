"""The settings under which the app meets this stack: the sample file, with local addresses put in.

The app knows nothing of this: what differs from Azure is the values of its ordinary settings.
"""

import json
from collections.abc import Mapping

from local.stack.approvals import ADA, GRACE, OPERATOR, host_section, kept, mode_values
from local.stack.description import Stack
from local.stack.files import read_json, write_json
from local.stack.keys import StackSecrets
from local.stack.places import ROOT, Places

SAMPLE = ROOT / "local.settings.sample.json"
APPROVERS = f"{ADA},{GRACE}"
OPERATORS = OPERATOR

SHORTER_WAITS: Mapping[str, str] = {
    "POLL_SECONDS": "1",
    "ML_POLL_SECONDS": "0.5",
    "RETRY_FIRST_SECONDS": "1",
}


def write_settings(places: Places, stack: Stack, keys: StackSecrets) -> None:
    """Write the Functions host's settings file for this stack."""
    sample = json.loads(SAMPLE.read_text(encoding="utf-8"))["Values"] if SAMPLE.exists() else {}
    values = sample | local_values(places, stack, keys) | dict(SHORTER_WAITS) | dict(stack.azure_ml.env)
    values |= read_json(places.overrides) or {}
    host = host_section(kept(places))
    write_json(places.settings, {"IsEncrypted": False, "Values": values, **host}, private=True)


def local_values(places: Places, stack: Stack, keys: StackSecrets) -> dict[str, str]:
    """The settings that hold addresses and keys, by the app's names for them."""
    storage = stack.blob_connection_string
    return {
        "AzureWebJobsStorage": storage,
        "ArtifactsStorage": storage,
        "StateStorage": storage,
        "ServiceBus": stack.service_bus_connection_string,
        "PUBLIC_URL": stack.app_url,
        "SMTP_HOST": "127.0.0.1",
        "SMTP_PORT": str(places.ports.smtp),
        "SMTP_STARTTLS": "false",
        "TEAMS_WEBHOOK_URL": f"{stack.teams_inbox_url}/webhook",
        "LINK_SIGNING_KEYS": keys.link_signing_key,
        **mode_values(kept(places)),
        "APPROVERS": APPROVERS,
        "OPERATORS": OPERATORS,
        "AZURE_SUBSCRIPTION_ID": stack.azure_ml.subscription_id,
    }
