"""Settings: the only reader of the environment. Defaults are the source document's values."""

from datetime import timedelta
from functools import cache
from typing import Annotated, Literal

from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError

from shared.domain.errors import ConfigurationError
from shared.domain.policy import AllowedLine, Policy

SHORTEST_ALLOWED = 8
"""A shorter text would let too much pass."""
Seconds = Annotated[float, Field(gt=0)]


class Settings(BaseSettings):
    """Every setting of the app; `docs/configuration.md` is generated from this class."""

    model_config = SettingsConfigDict(extra="ignore", frozen=True, populate_by_name=True, env_ignore_empty=True)

    # Connections: a connection string in X, or X__…Uri / X__fullyQualifiedNamespace with managed identity.
    state_storage: SecretStr | None = Field(
        None,
        validation_alias="StateStorage",
        description="Connection string of the storage account that holds tables and evidence; leave empty to use the managed identity",
    )
    state_storage_blob_uri: str = Field(
        "",
        validation_alias="StateStorage__blobServiceUri",
        description="Blob service of the state account, with managed identity",
    )
    state_storage_table_uri: str = Field(
        "",
        validation_alias="StateStorage__tableServiceUri",
        description="Table service of the state account, with managed identity",
    )
    artifacts_storage: SecretStr | None = Field(
        None,
        validation_alias="ArtifactsStorage",
        description="Connection string of the storage account builds upload to; leave empty to use the managed identity",
    )
    artifacts_storage_blob_uri: str = Field(
        "",
        validation_alias="ArtifactsStorage__blobServiceUri",
        description="Blob service of the artifacts account, with managed identity",
    )
    service_bus: SecretStr | None = Field(
        None,
        validation_alias="ServiceBus",
        description="Connection string of the Service Bus namespace; leave empty to use the managed identity",
    )
    service_bus_namespace: str = Field(
        "",
        validation_alias="ServiceBus__fullyQualifiedNamespace",
        description="Namespace host name, with managed identity",
    )
    artifact_container: str = Field(
        "build-artifacts", description="Container that builds upload changed_circuits.json to"
    )
    evidence_container: str = Field(
        "evidence", description="Container of manifests and frozen evidence; never overwritten"
    )

    # Azure ML: R45-R48.
    azure_subscription_id: str = Field(
        "", description="Subscription of every workspace and the Registry that has none of its own"
    )
    dev_subscription_id: str = Field("", description="Subscription of the Dev workspace, if another")
    dev_resource_group: str = Field("rg-mlops-dev", description="Resource group of the Dev workspace")
    dev_workspace: str = Field("mlw-dev", description="Dev workspace: only ever read")
    test_subscription_id: str = Field("", description="Subscription of the Test workspace, if another")
    test_resource_group: str = Field("rg-mlops-test", description="Resource group of the Test workspace")
    test_workspace: str = Field("mlw-test", description="Test workspace")
    prod_subscription_id: str = Field("", description="Subscription of the Production workspace, if another")
    prod_resource_group: str = Field("rg-mlops-prod", description="Resource group of the Production workspace")
    prod_workspace: str = Field("mlw-prod", description="Production workspace")
    registry_name: str = Field("mlr-shared", description="The shared Registry")
    compute_name: str = Field(
        "batch-cluster", description="Compute cluster of the batch deployments, in Test and Production"
    )
    test_endpoint_template: str = Field(
        "be-{plant}-{circuit}",
        description="Endpoint names in Test; must differ from Production's if both are in one region (D2)",
    )
    prod_endpoint_template: str = Field("be-{plant}-{circuit}", description="Endpoint names in Production")
    ml_poll_seconds: Seconds = Field(
        5, description="How often the Azure ML client looks at a registry operation it waits for"
    )

    # People.
    approval_mode: Literal["entra", "link"] = Field(
        "entra",
        description="`entra`: sign-in with role ReleaseApprover decides; `link`: personal links with a code from the mail",
    )
    allow_link_approvals: bool = Field(False, description="Must be true for APPROVAL_MODE=link")
    approvers: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Mail addresses of the approvers, separated by commas"
    )
    operators: Annotated[tuple[str, ...], NoDecode] = Field(
        (), description="Mail addresses told about invalid artifacts and ended releases"
    )
    public_url: str = Field("", description="Where people reach the app, for links in mails and cards")
    link_signing_keys: Annotated[tuple[SecretStr, ...], NoDecode] = Field(
        (),
        description="Keys that sign links, oldest first, separated by commas; the last one signs, at least 32 characters each",
    )
    smtp_host: str = Field("", description="Mail server; empty: no mail is sent")
    smtp_port: int = Field(587, description="Mail server's port")
    smtp_starttls: bool = Field(True, description="Encrypt the connection to the mail server")
    smtp_user: str = Field("", description="Mail account, if the server asks for one")
    smtp_password: SecretStr = Field(SecretStr(""), description="Its password")
    acs_endpoint: str = Field(
        "",
        description="Azure Communication Services resource that sends mail, with the managed identity; takes the place of SMTP",
    )
    acs_mails_per_minute: int = Field(
        30, ge=1, le=1000, description="Sender budget of that resource; its documented default is 30 mails a minute"
    )
    acs_mails_per_hour: int = Field(
        100, ge=1, le=1000, description="Likewise; its documented default is 100 mails an hour"
    )
    mail_from: str = Field("release-pipeline@localhost.invalid", description="Sender of all mails")
    teams_webhook_url: SecretStr = Field(
        SecretStr(""), description="Workflows webhook of the Teams channel; empty: none"
    )

    website_auth_enabled: bool = Field(
        False,
        validation_alias=AliasChoices("WEBSITE_AUTH_ENABLED"),
        description="Set by Easy Auth: only then the principal header is trusted",
    )

    # Policy, frozen into each release when it starts.
    poll_seconds: Seconds = Field(30, description="R24: how often a running operation is looked at")
    inspect_limit_seconds: Seconds = Field(600, description="Deadline of the inspection of one circuit")
    promote_limit_seconds: Seconds = Field(3600, description="Deadline of one promotion")
    deploy_limit_seconds: Seconds = Field(3600, description="Deadline of one deployment")
    smoke_limit_seconds: Seconds = Field(
        900, description="R25: a smoke job must have ended within this time; SMOKE_TEST_CLOCK says of what"
    )
    smoke_test_clock: Literal["invocation", "running"] = Field(
        "invocation",
        description="D8: where a smoke job's time begins: `invocation`, so that its time in the cluster's queue counts, or `running`, with its first node",
    )
    smoke_queue_limit_seconds: Seconds = Field(
        3600, description="With SMOKE_TEST_CLOCK=running: a smoke job that has not started within this time has failed"
    )
    activate_limit_seconds: Seconds = Field(600, description="Deadline of one activation")
    restore_limit_seconds: Seconds = Field(600, description="Deadline of one restore")
    hold_seconds: Seconds = Field(1209600, description="How long a rolled-back circuit is not activated by itself")
    gate_limit_seconds: Seconds = Field(86400, description="R8: how long a gate stays open")
    gate_refresh_seconds: Seconds = Field(900, description="How often an open gate's evidence is looked at again")
    gate_reminder_before_seconds: Seconds = Field(
        14400, description="The reminder comes this long before a gate's deadline"
    )
    overdue_after_seconds: Seconds = Field(
        90, description="A row is driven again this long after the check it waits for"
    )
    retry_first_seconds: Seconds = Field(5, description="First wait after a transient error; doubles")
    retry_most_seconds: Seconds = Field(300, description="Longest wait after a transient error")
    min_approvers: int = Field(1, ge=1, description="How many different people must approve at a gate")
    requester_may_approve: bool = Field(
        True,
        description="May whoever asked for a release decide at its gates? `false`: neither who was signed in for "
        "`POST /api/releases` nor whom the artifact's `requested_by` names; where that is no mail address or sign-in "
        "name, at least two different people must approve. A `requested_by` that nobody signed in for is the build's "
        "word: where builds are not trusted, set MIN_APPROVERS=2 as well",
    )
    smoke_slots: int = Field(5, ge=1, le=100, description="Smoke tests at once (D8)")
    allowed_log_lines: dict[str, str] = Field(
        {},
        description='D9: log lines that look like errors and are none, as JSON `{"text the line contains": "reason"}`',
    )
    endpoint_quota: int = Field(
        100, ge=1, description="D4: endpoints per region and subscription that Azure ML allows you"
    )
    deployment_quota: int = Field(
        500, ge=1, description="D4: deployments per region and subscription that Azure ML allows you"
    )
    deployments_per_endpoint: int = Field(20, ge=2, description="D4: deployments per endpoint that Azure ML allows you")
    deployments_kept: int = Field(
        3, ge=2, description="D4: deployments that pruning after a release leaves on an endpoint"
    )
    promotion_mode: Literal["auto", "copy", "share"] = Field(
        "auto", description="D7: `copy` through this app, `share` server-side, `auto` decides by size"
    )
    sweep_schedule: str = Field("0 * * * * *", description="NCRONTAB of the sweeper")
    artifact_scan_schedule: str = Field(
        "30 */10 * * * *", description="NCRONTAB of the look for artifacts without a release (R57)"
    )
    drift_schedule: str = Field(
        "45 7 * * * *", description="NCRONTAB of the look for defaults in Production that were changed outside this app"
    )
    artifact_scan_days: int = Field(7, ge=1, description="How far back that look goes")
    retention_schedule: str = Field("15 40 3 * * *", description="NCRONTAB of the removal of what is past its time")
    retention_rows_days: int = Field(
        400, ge=30, description="How long the rows of a release are kept after its end; likewise what is no longer live"
    )
    retention_evidence_days: int = Field(
        2557,
        ge=30,
        description="How long a release's evidence is kept after its end, 7 years; never shorter than its rows",
    )

    @field_validator("approvers", "operators", mode="before")
    @classmethod
    def _split(cls, value: object) -> object:
        return (
            tuple(part.strip().lower() for part in value.split(",") if part.strip())
            if isinstance(value, str)
            else value
        )

    @field_validator("link_signing_keys", mode="before")
    @classmethod
    def _split_keys(cls, value: object) -> object:
        return tuple(part.strip() for part in value.split(",") if part.strip()) if isinstance(value, str) else value

    @field_validator("allowed_log_lines")
    @classmethod
    def _need_reasons(cls, value: dict[str, str]) -> dict[str, str]:
        if any(len(text.strip()) < SHORTEST_ALLOWED or not reason.strip() for text, reason in value.items()):
            raise ValueError(
                f"every entry of ALLOWED_LOG_LINES needs a text of at least {SHORTEST_ALLOWED} characters and a reason"
            )
        return value

    @model_validator(mode="after")
    def _check(self) -> "Settings":
        if self.approval_mode == "link" and not self.allow_link_approvals:
            raise ValueError(
                "APPROVAL_MODE=link needs ALLOW_LINK_APPROVALS=true: links in mails identify a mailbox, not a person"
            )
        if self.approval_mode == "link" and 0 < len(set(self.approvers)) < self.min_approvers:
            raise ValueError(
                f"MIN_APPROVERS={self.min_approvers} can't be reached: APPROVERS names {len(set(self.approvers))} people"
            )
        if self.retention_evidence_days < self.retention_rows_days:
            raise ValueError(
                "RETENTION_EVIDENCE_DAYS must not be less than RETENTION_ROWS_DAYS: rows name their evidence"
            )
        if any(len(key.get_secret_value()) < 32 for key in self.link_signing_keys):
            raise ValueError("every key in LINK_SIGNING_KEYS needs at least 32 characters")
        return self

    def mail_limits(self) -> dict[timedelta, int]:
        """How many mails Azure Communication Services takes within which time, from the whole app."""
        return {timedelta(minutes=1): self.acs_mails_per_minute, timedelta(hours=1): self.acs_mails_per_hour}

    def policy(self) -> Policy:
        """The policy that new releases get."""
        seconds = {
            name.removesuffix("_seconds"): timedelta(seconds=getattr(self, name))
            for name in type(self).model_fields
            if name.endswith("_seconds") and name != "ml_poll_seconds"
        }
        return Policy(
            **seconds,  # type: ignore[arg-type]  # the names were just taken from the fields
            min_approvers=self.min_approvers,
            requester_may_approve=self.requester_may_approve,
            smoke_clock=self.smoke_test_clock,
            smoke_slots=self.smoke_slots,
            promotion_mode=self.promotion_mode,
            allowed_log_lines=tuple(
                AllowedLine(text=text, reason=reason) for text, reason in self.allowed_log_lines.items()
            ),
            endpoint_quota=self.endpoint_quota,
            deployment_quota=self.deployment_quota,
            deployments_per_endpoint=self.deployments_per_endpoint,
            deployments_kept=self.deployments_kept,
        )


@cache
def settings() -> Settings:
    """The settings of this process.

    Raises:
        ConfigurationError: a variable can't be used; it is named, and its value is not told.
    """
    try:
        return Settings()
    except ValidationError as error:
        told = [f"{_variable(one['loc'])}{one['msg'].removeprefix('Value error, ')}" for one in error.errors()]
    except SettingsError as error:
        told = [str(error)]
    raise ConfigurationError(f"settings of the app can't be used: {'; '.join(told)}")


def _variable(where: tuple[int | str, ...]) -> str:
    """Fields with a name of their own in the environment are told by it, the others by their field."""
    name = str(where[0]) if where else ""
    return f"{name.upper() if name.islower() else name}: " if name else ""
