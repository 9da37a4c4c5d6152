"""Adapter: carrying a Dev model into the Registry (R13-R17, D7, D12), repeatable after a crash at any point."""

import re
import shutil
import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from functools import partial
from pathlib import Path
from threading import BoundedSemaphore, Lock
from typing import TYPE_CHECKING

from shared.adapters.azure_ml.blobs import BlobFolder, StoredFile, content_hash
from shared.adapters.azure_ml.clients import Clients, Workspace, sdk
from shared.adapters.azure_ml.errors import service_errors
from shared.adapters.azure_ml.models import Models
from shared.adapters.azure_ml.patience import PATIENCE, within
from shared.adapters.azure_ml.scratch import clear_left_behind, scratch_folder
from shared.application.ports import PromotedModel
from shared.domain.errors import Occupied, PermanentError, PipelineError, TransientError, Unalterable

if TYPE_CHECKING:
    from azure.ai.ml.entities import Model

COPY, SHARE, AUTO = "copy", "share", "auto"
KEPT_TAG = "promoted_at"
"""The one tag that a repetition would write differently: the first promotion's stays."""
AT_ONCE = 4
"""Promotions of one process: each holds a thread, a connection and temporary storage for minutes."""
TURN_WAIT = timedelta(minutes=1)
"""For a turn; then the message comes again, so that whoever waits holds no thread for long."""
SPARE_BYTES = 32 * 1024 * 1024
"""Left free beside a model, for everything else that uses temporary storage."""
TAKEN = re.compile(r"No value for given attribute|Asset paths cannot be updated|already (exists|linked)", re.IGNORECASE)
"""How the SDK and the service say that somebody else is just making this very version."""
IGNORE_FILES = frozenset({".amlignore", ".gitignore"})
"""The SDK would leave out of an upload what such a file names."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Wanted:
    """The version that shall exist in the Registry."""

    name: str
    source_version: str
    version: str
    tags: Mapping[str, str]

    def properties(self, digest: str, mode: str) -> dict[str, str]:
        return {
            "source_name": self.name,
            "source_version": self.source_version,
            "content_hash": digest,
            "promotion_mode": mode,
        }

    def __str__(self) -> str:
        return f"{self.name} version {self.version}"


def free_bytes() -> int:
    """What is free where temporary files go."""
    return shutil.disk_usage(tempfile.gettempdir()).free


def bytes_below(folder: Path) -> int:
    """What lies in a folder by now; files may come and go meanwhile."""
    found = 0
    for place, _, names in folder.walk():
        for name in names:
            with suppress(FileNotFoundError):
                found += (place / name).stat().st_size
    return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Room:
    """A promotion's part of the temporary storage."""

    folder: Path | None
    """For its files; None: they do not fit."""
    is_shared: bool
    """Others have reserved some: what does not fit beside them may fit when they have ended."""


class TemporarySpace:
    """Temporary storage, shared by all promotions of this process: what one has reserved, another can't count on."""

    def __init__(self, free: Callable[[], int] = free_bytes) -> None:
        self.free = free
        self._lock = Lock()
        self._reserved: dict[Path, int] = {}

    @contextmanager
    def reserve(self, size: int) -> Iterator[Room]:
        """A folder for `size` bytes, if they fit; they stay reserved until the end."""
        with scratch_folder() as folder:
            with self._lock:
                is_shared = bool(self._reserved)
                outstanding = self._outstanding()
                fits = self.free() - outstanding >= size + SPARE_BYTES
                if fits:
                    self._reserved[folder] = size
            try:
                yield Room(folder=folder if fits else None, is_shared=is_shared)
            finally:
                with self._lock:
                    self._reserved.pop(folder, None)

    def _outstanding(self) -> int:
        """Reserved and not written yet; what has been written is no longer free as it is."""
        return sum(max(0, size - bytes_below(folder)) for folder, size in self._reserved.items())


class Turns:
    """Few promotions of this process work at once (rule 6); a queue's host.json can't say that, it has one number."""

    def __init__(self, at_once: int = AT_ONCE, *, wait: timedelta = TURN_WAIT) -> None:
        self._semaphore = BoundedSemaphore(at_once)
        self._at_once = at_once
        self._wait = wait

    @contextmanager
    def turn(self, what: str) -> Iterator[None]:
        """Raises Occupied: none came free in time."""
        if not self._semaphore.acquire(timeout=self._wait.total_seconds()):
            raise Occupied(f"{what} waits: {self._at_once} promotions are at work here")
        try:
            yield
        finally:
            self._semaphore.release()


class Promotion(Models):
    """Writing models to the Registry."""

    def __init__(self, clients: Clients, space: TemporarySpace, patience: timedelta = PATIENCE) -> None:
        super().__init__(clients)
        self._space = space
        self._turns = Turns()
        self._patience = patience

    def promote(
        self, *, name: str, source_version: str, version: str, tags: Mapping[str, str], mode: str
    ) -> PromotedModel:
        """Ends only when the Registry, asked again, shows the source's content and exactly these tags."""
        wanted = _Wanted(name=name, source_version=source_version, version=version, tags=tags)
        source = self._clients.model_folder(Workspace.DEV, self._dev_model(name, source_version))
        with service_errors(f"listing the files of {name} version {source_version} in Dev"):
            files: Sequence[StoredFile] = source.files()
        if not files:
            raise PermanentError(f"{name} version {source_version} has no files in Dev")
        found = self._registry_model(name, version)
        if found is None:
            with self._turns.turn(f"promoting {wanted}"):
                files, used = self._transfer(wanted, source, files, mode)
            found = self._promoted(wanted)
        else:
            used = str((found.properties or {}).get("promotion_mode") or (COPY if mode == AUTO else mode))
        with service_errors(f"identifying the files of {name} version {source_version} in Dev"):
            digest = content_hash(source.identified(files))
        self._check_content(wanted, found, digest)
        described = self._described(wanted, found, wanted.properties(digest, used))
        return PromotedModel(version=self._as_registry_version(described), content_hash=digest, mode=used)

    def _transfer(
        self, wanted: _Wanted, source: BlobFolder, files: Sequence[StoredFile], mode: str
    ) -> tuple[Sequence[StoredFile], str]:
        """Bring the content over; returns the files, identified as far as they were read, and the way taken."""
        if mode != SHARE:
            size = sum(file.size for file in files)
            clear_left_behind()
            with self._space.reserve(size) as room:
                if room.folder and not any(file.path in IGNORE_FILES for file in files):
                    return self._copy(wanted, source, files, room.folder), COPY
            if mode == COPY and room.folder is None and room.is_shared:
                raise Occupied(f"{wanted} ({size} bytes) waits: other promotions use the temporary storage")
            if mode == COPY:
                raise PermanentError(
                    f"{wanted.name} version {wanted.source_version} ({size} bytes) can't be copied through this app "
                    f"({self._space.free()} bytes of temporary storage are free): set PROMOTION_MODE to auto or share"
                )
        self._share(wanted)
        return files, SHARE

    def _copy(
        self, wanted: _Wanted, source: BlobFolder, files: Sequence[StoredFile], folder: Path
    ) -> Sequence[StoredFile]:
        # The SDK uploads into a folder of the local folder's name. A name of its own for each attempt keeps an
        # interrupted or simultaneous upload of the same version from getting into this one's way.
        with service_errors(f"downloading {wanted.name} version {wanted.source_version} from Dev"):
            read = [source.download(file, folder) for file in files]
        for listed, got in zip(files, read, strict=True):
            if listed.md5 and listed.md5 != got.md5:
                raise TransientError(f"{got.path} of {wanted.name} arrived with other content than Dev lists")
        model = sdk().new_model(
            name=wanted.name,
            version=wanted.version,
            path=str(folder),
            tags=wanted.tags,
            properties=wanted.properties(content_hash(read), COPY),
        )
        self._write(wanted, model)
        return read

    def _share(self, wanted: _Wanted) -> None:
        client = self._clients.own_dev()
        share = partial(
            client.models.share,
            wanted.name,
            wanted.source_version,
            share_with_name=wanted.name,
            share_with_version=wanted.version,
            registry_name=self._clients.settings.registry_name,
        )
        with self._settled(wanted, "sharing"):
            within(self._patience, share, f"sharing {wanted} to the Registry")

    def _write(self, wanted: _Wanted, model: "Model") -> None:
        client = self._clients.registry()
        with self._settled(wanted, "writing"):
            within(self._patience, lambda: client.models.create_or_update(model), f"writing {wanted} to the Registry")

    @contextmanager
    def _settled(self, wanted: _Wanted, doing: str) -> Iterator[None]:
        """Whatever the SDK says after a write, what the Registry holds is what counts."""
        try:
            with service_errors(f"{doing} {wanted} to the Registry"):
                yield
        except PipelineError as error:
            if self._registry_model(wanted.name, wanted.version) is not None:
                return
            if TAKEN.search(str(error)):
                raise TransientError(f"{error}; the Registry does not show it yet") from error
            raise

    def _promoted(self, wanted: _Wanted) -> "Model":
        model = self._registry_model(wanted.name, wanted.version)
        if model is None:
            raise TransientError(f"the Registry does not show {wanted} yet")
        return model

    def _check_content(self, wanted: _Wanted, found: "Model", digest: str) -> None:
        folder = self._clients.registry_folder(found)
        with service_errors(f"listing the files of {wanted} in the Registry"):
            held = content_hash(folder.identified(folder.files()))
        if held != digest:
            raise Unalterable(
                f"the Registry holds {wanted} with other content than version {wanted.source_version} in Dev "
                f"({held[:12]} instead of {digest[:12]}): a version's content can't be changed"
            )

    def _described(self, wanted: _Wanted, found: "Model", properties: Mapping[str, str]) -> "Model":
        """The version with its tags and properties, given to it if it lacks them: after `share`, or after a crash."""
        if _fits(found, wanted.tags, properties):
            return found
        kept = (found.tags or {}).get(KEPT_TAG) if KEPT_TAG in wanted.tags else None
        found.tags = {**wanted.tags, **({KEPT_TAG: str(kept)} if kept else {})}
        found.properties = {**(found.properties or {}), **properties}
        self._write(wanted, found)
        found = self._promoted(wanted)
        if not _fits(found, wanted.tags, properties):
            raise TransientError(f"the Registry does not show the tags of {wanted} yet")
        return found


def _fits(found: "Model", tags: Mapping[str, str], properties: Mapping[str, str]) -> bool:
    held = found.tags or {}
    same_tags = held.keys() == tags.keys() and all(held[key] == tags[key] for key in tags if key != KEPT_TAG)
    return same_tags and properties.items() <= (found.properties or {}).items()
