"""`stack.json`: every address of a running stack, so that any real client can be pointed at it."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from local.stack.files import read_json, write_json
from local.stack.places import Places


@dataclass(frozen=True, slots=True, kw_only=True)
class AzureMl:
    """How the real azure-ai-ml client reaches the stand-in: as the app, or as the training build."""

    env: Mapping[str, str]
    builder_env: Mapping[str, str]
    subscription_id: str
    admin_url: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Stack:
    """The addresses and keys of a running stack."""

    app_url: str
    function_key: str
    artifact_container: str
    blob_connection_string: str
    table_connection_string: str
    service_bus_connection_string: str
    service_bus_admin_url: str
    mail_url: str
    mail_api_url: str
    teams_inbox_url: str
    logs: str
    azure_ml: AzureMl
    approvals: str = "link"
    """`link`, or `entra`: then people and programs sign in (local/stack/approvals.py)."""


def write_description(places: Places, stack: Stack) -> None:
    """Say that the stack is up; readable by its owner only, for it holds keys."""
    write_json(places.stack_json, asdict(stack), private=True)


def read_description(places: Places) -> Stack | None:
    """The running stack's addresses, or None while it is not up."""
    content = read_json(places.stack_json)
    if content is None:
        return None
    azure_ml: dict[str, Any] = content.pop("azure_ml")
    return Stack(**content, azure_ml=AzureMl(**azure_ml))
