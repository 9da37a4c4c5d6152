"""Composition root: builds the adapters once per process. Tests build their own `Ports`."""

import time
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from azure.communication.email import EmailClient
from azure.core.credentials import TokenCredential
from azure.data.tables import TableServiceClient
from azure.servicebus import ServiceBusClient
from azure.storage.blob import BlobServiceClient
from pydantic import SecretStr

from shared.adapters.azure_ml.gateway import AzureMlGateway
from shared.adapters.email import CLIENT_OPTIONS as MAIL_OPTIONS
from shared.adapters.email import CommunicationServicesNotifier, SmtpNotifier, SmtpServer
from shared.adapters.evidence_blobs import BlobEvidenceStore
from shared.adapters.gate_tokens import SignedGateTokens
from shared.adapters.service_bus import CLIENT_OPTIONS as BUS_OPTIONS
from shared.adapters.service_bus import ServiceBusMessageBus
from shared.adapters.sign_in import SignIn
from shared.adapters.table_store import (
    CLIENT_OPTIONS,
    TableEndpointStore,
    TableMailLog,
    TableReleaseStore,
    TableSlotStore,
)
from shared.adapters.teams import TeamsNotifier
from shared.application.mail_budget import MailBudget
from shared.application.ports import Audience, Estate, Naming, Notifier, Ports
from shared.application.retention import Keep
from shared.config import Settings, settings
from shared.domain.errors import ConfigurationError
from shared.domain.model import Channel
from shared.telemetry import quiet_sdks

LINK_AGE = timedelta(days=400)
"""How long a signature counts; whether a gate's link still fits is for the gate's row to say."""
BLOB_RETRIES: dict[str, Any] = {"retry_total": 3, "initial_backoff": 1, "increment_base": 2, "random_jitter_range": 1}
"""About 1, 3 and 5 s; the client's own 15, 18 and 24 s would hold a function, and a person's page, for a minute."""

__all__ = ["artifact_scan_window", "ports", "retention", "settings"]


class SystemClock:
    """The machine's clock, in UTC."""

    def now(self) -> datetime:
        return datetime.now(UTC)

    def pause(self, duration: timedelta) -> None:
        time.sleep(duration.total_seconds())


@cache
def ports() -> Ports:
    """The ports of this process, wired to Azure as the settings say."""
    quiet_sdks()
    return build_ports(settings())


def artifact_scan_window() -> timedelta:
    """How far back the look for artifacts without a release goes."""
    return timedelta(days=settings().artifact_scan_days)


def retention() -> Keep:
    """How long what is over is kept."""
    config = settings()
    return Keep(
        rows=timedelta(days=config.retention_rows_days), evidence=timedelta(days=config.retention_evidence_days)
    )


def build_ports(config: Settings) -> Ports:
    """Every adapter, connected to what the settings name.

    Raises:
        ConfigurationError: a setting is missing.
    """
    tables = _tables(config)
    estate = _estate(config)
    return Ports(
        releases=TableReleaseStore(tables),
        endpoints=TableEndpointStore(tables),
        slots=TableSlotStore(tables),
        evidence=BlobEvidenceStore(
            evidence=_blobs(config.state_storage, config.state_storage_blob_uri, "StateStorage").get_container_client(
                config.evidence_container
            ),
            artifacts=_blobs(
                config.artifacts_storage, config.artifacts_storage_blob_uri, "ArtifactsStorage"
            ).get_container_client(config.artifact_container),
        ),
        bus=ServiceBusMessageBus(_service_bus(config)),
        models=AzureMlGateway(config),
        notifiers=_notifiers(config, estate, tables),
        tokens=SignedGateTokens(
            keys=[key.get_secret_value() for key in config.link_signing_keys],
            public_url=config.public_url,
            max_age=LINK_AGE,
        ),
        clock=SystemClock(),
        audience=Audience(
            approvers=config.approvers if _sends_mail(config) else (),
            operators=config.operators if _sends_mail(config) else (),
            teams=bool(config.teams_webhook_url.get_secret_value()),
            signs_in=config.approval_mode == "entra",
        ),
        naming=Naming(test_endpoint=config.test_endpoint_template, production_endpoint=config.prod_endpoint_template),
        policy=config.policy(),
        estate=estate,
    )


def _estate(config: Settings) -> Estate:
    return Estate(
        dev_workspace=config.dev_workspace,
        dev_resource_group=config.dev_resource_group,
        test_workspace=config.test_workspace,
        prod_workspace=config.prod_workspace,
        registry_name=config.registry_name,
    )


def _sends_mail(config: Settings) -> bool:
    return bool(config.acs_endpoint or config.smtp_host)


def _notifiers(config: Settings, estate: Estate, tables: TableServiceClient) -> Mapping[Channel, Notifier]:
    notifiers: dict[Channel, Notifier] = {}
    if config.acs_endpoint:
        notifiers[Channel.EMAIL] = CommunicationServicesNotifier(
            client=EmailClient(config.acs_endpoint, _credential(), **MAIL_OPTIONS),
            sender=config.mail_from,
            estate=estate,
            budget=MailBudget(log=TableMailLog(tables), clock=SystemClock(), limits=config.mail_limits()),
        )
    elif config.smtp_host:
        notifiers[Channel.EMAIL] = SmtpNotifier(server=SmtpServer.of(config), estate=estate)
    if config.teams_webhook_url.get_secret_value():
        notifiers[Channel.TEAMS] = TeamsNotifier(webhook_url=config.teams_webhook_url.get_secret_value())
    return notifiers


@cache
def _credential() -> TokenCredential:
    return SignIn()


def _tables(config: Settings) -> TableServiceClient:
    if config.state_storage:
        return TableServiceClient.from_connection_string(config.state_storage.get_secret_value(), **CLIENT_OPTIONS)
    if not config.state_storage_table_uri:
        raise ConfigurationError("set StateStorage, or StateStorage__tableServiceUri and StateStorage__blobServiceUri")
    return TableServiceClient(config.state_storage_table_uri, credential=_credential(), **CLIENT_OPTIONS)


def _blobs(connection: SecretStr | None, uri: str, name: str) -> BlobServiceClient:
    if connection is not None:
        return BlobServiceClient.from_connection_string(connection.get_secret_value(), **BLOB_RETRIES)
    if not uri:
        raise ConfigurationError(f"set {name}, or {name}__blobServiceUri")
    return BlobServiceClient(uri, credential=_credential(), **BLOB_RETRIES)


def _service_bus(config: Settings) -> ServiceBusClient:
    if config.service_bus:
        return ServiceBusClient.from_connection_string(config.service_bus.get_secret_value(), **BUS_OPTIONS)
    if not config.service_bus_namespace:
        raise ConfigurationError("set ServiceBus, or ServiceBus__fullyQualifiedNamespace")
    return ServiceBusClient(config.service_bus_namespace, credential=_credential(), **BUS_OPTIONS)
