"""Adapter: a folder of blobs (a model, a job's logs, test data), read in chunks and identified by its content."""

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path, PurePosixPath
from threading import Lock
from typing import Any
from urllib.parse import unquote, urlsplit

from azure.core.credentials import TokenCredential
from azure.core.exceptions import ResourceNotFoundError
from azure.storage.blob import BlobProperties, ContainerClient, StorageStreamDownloader

CHUNK_BYTES = 4 * 1024 * 1024
MOST_LINE_BYTES = 8 * 1024
PIECES_OVERLAP = 256
"""What stands where a long line was cut stands whole in one of the pieces."""
CONNECT_SECONDS, READ_SECONDS, RETRIES = 20, 60, 3
SOON = {"initial_backoff": 1, "increment_base": 2, "random_jitter_range": 1}
"""About 1, 3 and 5 s; the client's own 15, 18 and 24 s would hold a function for a minute and the queue behind it."""
REMEMBERED_DIGESTS = 2_000

DATASTORE_PATH = re.compile(r"azureml://(?:.+/)?datastores/(?P<datastore>[^/]+)/(?:paths/)?(?P<path>.+)")


@dataclass(frozen=True, slots=True, kw_only=True)
class StoredFile:
    """One file of a folder: its path in the folder, and the MD5 the storage knows (hex; empty: it knows none)."""

    path: str
    size: int
    md5: str
    etag: str


class _Digests:
    """MD5s of blobs whose storage keeps none, by ETag: a blob is read once per process for this, not at each look."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._known: dict[tuple[str, str], str] = {}

    def get(self, url: str, etag: str) -> str | None:
        with self._lock:
            return self._known.get((url, etag))

    def put(self, url: str, etag: str, md5: str) -> None:
        with self._lock:
            if len(self._known) >= REMEMBERED_DIGESTS:
                self._known.clear()
            self._known[url, etag] = md5


_digests = _Digests()


class BlobFolder:
    """Read access to the blobs below a prefix of a container."""

    def __init__(self, container: ContainerClient, prefix: str) -> None:
        self._container = container
        self._prefix = prefix.strip("/") + "/"

    @property
    def name(self) -> str:
        """The folder's own name."""
        return PurePosixPath(self._prefix).name

    def files(self, below: str = "") -> tuple[StoredFile, ...]:
        """All files, by path; markers of directories are none."""
        found = self._container.list_blobs(name_starts_with=self._prefix + below, include=["metadata"])
        files = (self._file(blob) for blob in found if not _is_directory(blob))
        return tuple(sorted(files, key=lambda file: file.path))

    def head(self, path: str, limit: int) -> tuple[bytes, int] | None:
        """The first `limit` bytes of a file and its whole size; None if there is no such file."""
        try:
            stream = self._open(path)
        except ResourceNotFoundError:
            return None
        start = b""
        for chunk in stream.chunks():
            start += chunk
            if len(start) >= limit:
                break
        return start[:limit], int(stream.size)

    def lines(self, path: str, *, longest: int = MOST_LINE_BYTES) -> Iterator[tuple[int, str]]:
        """Every line of a text file with its number; a longer one comes in pieces, which overlap."""
        return numbered_lines(self._open(path).chunks(), longest=longest)

    def download(self, file: StoredFile, folder: Path) -> StoredFile:
        """Write one file below a local folder, chunk by chunk; returns it with the MD5 of what was written."""
        target = (folder / file.path).resolve()
        if not target.is_relative_to(folder.resolve()):
            raise ValueError(f"the storage holds a file that would leave its folder: {file.path!r}")
        target.parent.mkdir(parents=True, exist_ok=True)
        digest = hashlib.md5(usedforsecurity=False)
        with target.open("wb") as out:
            for chunk in self._open(file.path).chunks():
                digest.update(chunk)
                out.write(chunk)
        return replace(file, md5=digest.hexdigest())

    def identified(self, files: Iterable[StoredFile]) -> tuple[StoredFile, ...]:
        """The files, each with an MD5: the storage's, else one made by reading the blob (once per process)."""
        return tuple(file if file.md5 else replace(file, md5=self._read_md5(file)) for file in files)

    def _read_md5(self, file: StoredFile) -> str:
        url = self._container.get_blob_client(self._prefix + file.path).primary_hostname + "/" + self._key(file.path)
        if known := _digests.get(url, file.etag):
            return known
        digest = hashlib.md5(usedforsecurity=False)
        for chunk in self._open(file.path).chunks():
            digest.update(chunk)
        _digests.put(url, file.etag, digest.hexdigest())
        return digest.hexdigest()

    def _key(self, path: str) -> str:
        return f"{self._container.container_name}/{self._prefix}{path}"

    def _open(self, path: str) -> StorageStreamDownloader[bytes]:
        return self._container.get_blob_client(self._prefix + path).download_blob(max_concurrency=1)

    def _file(self, blob: BlobProperties) -> StoredFile:
        md5 = blob.content_settings.content_md5
        return StoredFile(
            path=str(blob.name).removeprefix(self._prefix),
            size=int(blob.size),
            md5=bytes(md5).hex() if md5 else "",
            etag=str(blob.etag),
        )


def numbered_lines(chunks: Iterable[bytes], *, longest: int) -> Iterator[tuple[int, str]]:
    """The text of all chunks, whatever its lines are like, with little more than one chunk in memory; no empty lines."""
    number, rest = 1, b""
    for chunk in chunks:
        *whole, rest = (rest + chunk).split(b"\n")
        for line in whole:
            yield from ((number, piece) for piece in _pieces(line, longest))
            number += 1
        while len(rest) > longest:
            yield from ((number, piece) for piece in _pieces(rest[:longest], longest))
            rest = rest[longest - PIECES_OVERLAP :]
    yield from ((number, piece) for piece in _pieces(rest, longest))


def _pieces(line: bytes, longest: int) -> Iterator[str]:
    """Also what progress bars write over themselves is a piece of its own."""
    for part in filter(None, line.split(b"\r")):
        left = part
        while len(left) > longest:
            yield left[:longest].decode(errors="replace")
            left = left[longest - PIECES_OVERLAP :]
        yield left.decode(errors="replace")


def content_hash(files: Iterable[StoredFile]) -> str:
    """SHA-256 over each file's path, size and MD5, in the order of paths: equal exactly for equal folders."""
    digest = hashlib.sha256()
    for file in sorted(files, key=lambda file: file.path):
        digest.update(f"{file.path}\0{file.size}\0{file.md5}\n".encode())
    return digest.hexdigest()


def open_container(account_url: str, name: str, credential: str | TokenCredential | None) -> ContainerClient:
    """A container by account, name and SAS, key or identity."""
    return ContainerClient(account_url, name, credential=credential, **_manners())


def open_signed(url: str) -> ContainerClient:
    """A container by its signed URL."""
    return ContainerClient.from_container_url(url, **_manners())


def datastore_path(uri: str) -> tuple[str, str] | None:
    """Datastore and path of an `azureml://…/datastores/{name}/paths/{path}` URI, short or long."""
    match = DATASTORE_PATH.fullmatch(uri)
    return (match["datastore"], match["path"]) if match else None


def path_in_container(blob_url: str) -> str:
    """The path of a blob URL without its container."""
    return unquote(urlsplit(blob_url).path).lstrip("/").partition("/")[2]


def _manners() -> dict[str, Any]:
    return {
        "max_single_get_size": CHUNK_BYTES,
        "max_chunk_get_size": CHUNK_BYTES,
        "connection_timeout": CONNECT_SECONDS,
        "read_timeout": READ_SECONDS,
        "retry_total": RETRIES,
        **SOON,
    }


def _is_directory(blob: BlobProperties) -> bool:
    """Storage accounts with a hierarchical namespace list directories as empty blobs with this mark."""
    marked = {str(key).lower(): str(value).lower() for key, value in (blob.metadata or {}).items()}
    return marked.get("hdi_isfolder") == "true" or str(blob.name).endswith("/")
