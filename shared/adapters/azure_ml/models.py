"""Adapter: models as Dev and the Registry hold them; nothing here writes."""

import re
from collections.abc import Sequence
from datetime import UTC, datetime
from itertools import islice
from typing import TYPE_CHECKING

from shared.adapters.azure_ml.blobs import content_hash
from shared.adapters.azure_ml.clients import Clients, Workspace, sdk
from shared.adapters.azure_ml.errors import service_errors, unless_missing
from shared.adapters.azure_ml.logs import USER_OUTPUT, LogSearch, Reading, job_log_folder
from shared.application.ports import ModelVersion
from shared.domain.errors import PermanentError
from shared.domain.log_lines import MOST_TEXT

if TYPE_CHECKING:
    from azure.ai.ml.entities import Model

WARNING_LINE = re.compile(r"\bWARN(ING)?\b|\w+Warning:")
MOST_WARNINGS = 50
SIGNATURE_FILE = "MLmodel"
MOST_SIGNATURE_BYTES = 1024 * 1024
BEGINNING = datetime.min.replace(tzinfo=UTC)


class Models:
    """Reading models."""

    def __init__(self, clients: Clients) -> None:
        self._clients = clients

    def dev_models(self, name: str) -> Sequence[ModelVersion]:
        """All versions in Dev, newest first."""
        models = self._clients.workspace(Workspace.DEV).models
        found = unless_missing(lambda: list(models.list(name=name)), f"listing the versions of {name} in Dev") or []
        versions = (_version(model, self._model_url(model)) for model in found)
        return tuple(sorted(versions, key=lambda version: version.created_at or BEGINNING, reverse=True))

    def dev_content_hash(self, name: str, version: str) -> str:
        """From the listing alone, but for files without an MD5 (uploaded in blocks): those are read, once."""
        folder = self._clients.model_folder(Workspace.DEV, self._dev_model(name, version))
        with service_errors(f"listing the files of {name} version {version} in Dev"):
            return content_hash(folder.identified(folder.files()))

    def dev_signature(self, name: str, version: str) -> bytes | None:
        """The Dev model's `MLmodel` file."""
        folder = self._clients.model_folder(Workspace.DEV, self._dev_model(name, version))
        with service_errors(f"reading {SIGNATURE_FILE} of {name} version {version} in Dev"):
            found = folder.head(SIGNATURE_FILE, MOST_SIGNATURE_BYTES)
        return found[0] if found else None

    def training_warnings(self, model: ModelVersion) -> Sequence[str] | None:
        """Lines that warn in what the training job printed; None if the job or its logs are unknown."""
        if not model.job_name:
            return None
        with service_errors(f"reading the logs of training job {model.job_name}"):
            folder = job_log_folder(self._clients, Workspace.DEV, model.job_name)
            reading = Reading()
            search = LogSearch(folder, reading)
            files = search.files(USER_OUTPUT)
            if not files:
                return None
            lines = search.lines(files, WARNING_LINE)
            told = [line.text[:MOST_TEXT] for line in islice(lines, MOST_WARNINGS)]
            more = sum(1 for _ in lines)
            return (*told, *([f"and {more} more lines that warn"] if more else ()), *reading.unread())

    def registry_model(self, name: str, version: str) -> ModelVersion | None:
        """One version in the Registry."""
        model = self._registry_model(name, version)
        return self._as_registry_version(model) if model else None

    def model_signature(self, name: str, version: str) -> bytes | None:
        """The Registry model's `MLmodel` file."""
        model = self._registry_model(name, version)
        if model is None:
            return None
        folder = self._clients.registry_folder(model)
        with service_errors(f"reading {SIGNATURE_FILE} of {name} version {version} in the Registry"):
            found = folder.head(SIGNATURE_FILE, MOST_SIGNATURE_BYTES)
        return found[0] if found else None

    def _dev_model(self, name: str, version: str) -> "Model":
        models = self._clients.workspace(Workspace.DEV).models
        model: Model | None = unless_missing(
            lambda: models.get(name, version), f"reading {name} version {version} in Dev"
        )
        if model is None:
            raise PermanentError(f"Dev has no model {name} version {version}")
        return model

    def _registry_model(self, name: str, version: str) -> "Model | None":
        models = self._clients.registry().models
        return unless_missing(lambda: models.get(name, version), f"reading {name} version {version} in the Registry")

    def _as_registry_version(self, model: "Model") -> ModelVersion:
        registry = self._clients.settings.registry_name
        url = f"https://ml.azure.com/registries/{registry}/models/{model.name}/version/{model.version}"
        return _version(model, url)

    def _model_url(self, model: "Model") -> str:
        wsid = self._clients.scope(Workspace.DEV).wsid
        return f"https://ml.azure.com/model/{model.name}:{model.version}/details?wsid={wsid}"


def _version(model: "Model", studio_url: str) -> ModelVersion:
    return ModelVersion(
        name=str(model.name),
        version=str(model.version),
        tags={str(key): str(value) for key, value in (model.tags or {}).items()},
        properties={str(key): str(value) for key, value in (model.properties or {}).items()},
        created_at=sdk().moment(getattr(model.creation_context, "created_at", None)),
        job_name=str(model.job_name or ""),
        studio_url=studio_url,
    )
