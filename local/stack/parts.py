"""The parts of the stack: their command lines, in which order they start, how one sees that they are ready."""

import json
import os
import sys
from collections.abc import Mapping

from local.azure_ml.settings import Settings as AzureMlSettings
from local.azure_ml.settings import SettingsBook
from local.stack import azure_names as names
from local.stack.approvals import kept
from local.stack.child import Part
from local.stack.description import AzureMl, Stack
from local.stack.health import Probe, answers_at_all
from local.stack.keys import StackSecrets, stack_secrets
from local.stack.places import ROOT, Places
from local.stack.settings import write_settings

STORAGE = "storage"
BLOB_FUNCTION = "artifact_uploaded"
NODE_TOOLS = ROOT / "node_modules" / ".bin"
SERVICE_BUS_CONFIG = ROOT / "local" / "service_bus" / "Config.json"


def parts_of(places: Places) -> tuple[Part, ...]:
    """Every part of this stack; writes the app's settings file, which is part of its command line."""
    keys = stack_secrets(places)
    write_settings(places, describe(places), keys)
    for part in ("storage", "mail"):
        places.data(part).mkdir(parents=True, exist_ok=True)
    return (
        _storage(places),
        _service_bus(places),
        _mail(places),
        _teams(places),
        _azure_ml(places),
        _app(places, keys),
        _blob_events(places, keys),
    )


def clean_environment() -> dict[str, str]:
    """This process's environment without what would lead a part elsewhere: proxies, Azure identities."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy") and not name.startswith(("AZURE_", "STACK_"))
    }
    return kept | {"PYTHONUNBUFFERED": "1"}


def _ours(module: str, *flags: str) -> tuple[str, ...]:
    return (sys.executable, "-m", module, *flags, "--stop-with-stdin")


def _node(program: str, *flags: str) -> tuple[str, ...]:
    return (sys.executable, "-m", "local.stack.tether", "node", str(NODE_TOOLS / program), *flags)


def storage_accounts(azure_ml: AzureMlSettings) -> str:
    """Azurite's accounts in its own notation, `name:key;…`."""
    accounts = {names.APP_STORAGE: names.APP_STORAGE_KEY}
    accounts |= {scope.storage_account: scope.storage_key for scope in azure_ml.scopes}
    return ";".join(f"{account}:{key}" for account, key in accounts.items())


def _storage(places: Places) -> Part:
    ports = places.ports
    listening = {"blob": ports.blob, "queue": ports.queue, "table": ports.table}
    flags = [flag for kind, port in listening.items() for flag in (f"--{kind}Port", str(port))]
    return Part(
        name=STORAGE,
        command=_node(
            "azurite",
            *("--location", str(places.data("storage"))),
            *("--skipApiVersionCheck", "--disableTelemetry"),
            *flags,
        ),
        env=clean_environment() | {"AZURITE_ACCOUNTS": storage_accounts(SettingsBook({}).current)},
        probes=tuple(Probe(port=port, path="/", accepts=answers_at_all) for port in listening.values()),
    )


def _service_bus(places: Places) -> Part:
    ports = places.ports
    return Part(
        name="service-bus",
        command=_ours(
            "local.service_bus",
            *("--config", str(places.queues if places.queues.exists() else SERVICE_BUS_CONFIG)),
            *("--data", str(places.data("service-bus"))),
            *("--port", str(ports.service_bus)),
            *("--health-port", str(ports.service_bus_health)),
        ),
        env=clean_environment(),
        probes=(Probe(port=ports.service_bus_health, path="/health"), Probe(port=ports.service_bus)),
    )


def _mail(places: Places) -> Part:
    ports = places.ports
    return Part(
        name="mail",
        command=_node(
            "maildev",
            *("--ip", "127.0.0.1", "--web-ip", "127.0.0.1"),
            *("-s", str(ports.smtp), "-w", str(ports.mail)),
            *("--mail-directory", str(places.data("mail"))),
        ),
        env=clean_environment(),
        probes=(Probe(port=ports.mail, path="/api/email"), Probe(port=ports.smtp)),
    )


def _teams(places: Places) -> Part:
    return Part(
        name="teams",
        command=_ours(
            "local.teams_sink",
            *("--port", str(places.ports.teams)),
            *("--data", str(places.data("teams"))),
        ),
        env=clean_environment(),
        probes=(Probe(port=places.ports.teams, path="/health"),),
    )


def _azure_ml(places: Places) -> Part:
    ports = places.ports
    return Part(
        name="azure-ml",
        after=(STORAGE,),
        command=_ours(
            "local.azure_ml",
            *("--data", str(places.data("azure-ml"))),
            *("--proxy-port", str(ports.azure_ml_proxy)),
            *("--admin-port", str(ports.azure_ml_admin)),
            *("--blob-port", str(ports.blob)),
        ),
        env=clean_environment(),
        probes=(Probe(port=ports.azure_ml_admin, path="/health"), Probe(port=ports.azure_ml_proxy)),
    )


def _app(places: Places, keys: StackSecrets) -> Part:
    return Part(
        name="app",
        after=(STORAGE, "service-bus", "azure-ml", "mail", "teams"),
        command=_ours(
            "local.functions_host",
            *("--app", str(ROOT)),
            *("--port", str(places.ports.app)),
            *("--settings", str(places.settings)),
            *("--data", str(places.data("app"))),
            # With `=`, because one random key in 64 starts with a dash.
            f"--function-key={keys.function_key}",
            f"--blobs-extension-key={keys.blob_events_key}",
        ),
        env=clean_environment(),
        probes=(Probe(port=places.ports.app, path="/admin/host/status", accepts=_is_running),),
    )


def _is_running(status: int, body: str) -> bool:
    return status == 200 and json.loads(body).get("state") == "Running"


def _blob_events(places: Places, keys: StackSecrets) -> Part:
    """What Event Grid does in Azure: tells the app of new blobs in the artifact container."""
    ports = places.ports
    webhook = f"http://127.0.0.1:{ports.app}/runtime/webhooks/blobs"
    return Part(
        name="blob-events",
        after=("app",),
        command=_ours(
            "local.functions_host.blob_events",
            *("--connection", _storage_connection_string(places)),
            *("--container", names.ARTIFACT_CONTAINER),
            *("--webhook", f"{webhook}?functionName=Host.Functions.{BLOB_FUNCTION}&code={keys.blob_events_key}"),
            *("--state", str(places.data("blob-events") / "told.json")),
            *("--health-port", str(ports.blob_events)),
        ),
        env=clean_environment(),
        probes=(Probe(port=ports.blob_events, path="/health"),),
    )


def describe(places: Places) -> Stack:
    """The addresses of this stack."""
    ports = places.ports
    keys = stack_secrets(places)
    storage = _storage_connection_string(places)
    return Stack(
        app_url=f"http://127.0.0.1:{ports.app}",
        function_key=keys.function_key,
        artifact_container=names.ARTIFACT_CONTAINER,
        blob_connection_string=storage,
        table_connection_string=storage,
        service_bus_connection_string=(
            f"Endpoint=sb://127.0.0.1:{ports.service_bus};SharedAccessKeyName=RootManageSharedAccessKey;"
            "SharedAccessKey=SAS_KEY_VALUE;UseDevelopmentEmulator=true;"
        ),
        service_bus_admin_url=f"http://127.0.0.1:{ports.service_bus_health}",
        mail_url=f"http://127.0.0.1:{ports.mail}",
        mail_api_url=f"http://127.0.0.1:{ports.mail}/api/email",
        teams_inbox_url=f"http://127.0.0.1:{ports.teams}",
        logs=str(places.logs),
        azure_ml=_azure_ml_access(places),
        approvals=kept(places),
    )


def _azure_ml_access(places: Places) -> AzureMl:
    azure_ml = SettingsBook({}).current
    proxy = {
        "HTTPS_PROXY": f"http://127.0.0.1:{places.ports.azure_ml_proxy}",
        "NO_PROXY": "127.0.0.1,localhost",
        "REQUESTS_CA_BUNDLE": str(places.data("azure-ml") / "ca-bundle.pem"),
    }
    return AzureMl(
        env={**proxy, **_identity(azure_ml, "app")},
        builder_env=_identity(azure_ml, "builder"),
        subscription_id=names.SUBSCRIPTION_ID,
        admin_url=f"http://127.0.0.1:{places.ports.azure_ml_admin}",
    )


def _identity(azure_ml: AzureMlSettings, name: str) -> Mapping[str, str]:
    """The three variables by which DefaultAzureCredential becomes one of the stand-in's identities."""
    identity = next(one for one in azure_ml.identities if one.name == name)
    return {
        "AZURE_TENANT_ID": azure_ml.tenant_id,
        "AZURE_CLIENT_ID": identity.client_id,
        "AZURE_CLIENT_SECRET": identity.client_secret,
    }


def _storage_connection_string(places: Places) -> str:
    endpoints = "".join(
        f"{kind}Endpoint=http://127.0.0.1:{port}/{names.APP_STORAGE};"
        for kind, port in (
            ("Blob", places.ports.blob),
            ("Queue", places.ports.queue),
            ("Table", places.ports.table),
        )
    )
    account = f"AccountName={names.APP_STORAGE};AccountKey={names.APP_STORAGE_KEY};"
    return f"DefaultEndpointsProtocol=http;{account}{endpoints}"
