"""What a promotion costs in memory and temporary storage: a model larger than TMPDIR, and one that fits.

The app's real gateway promotes over the real SDK and the Azure ML stand-in, with files on disk. The first model meets
a TMPDIR of 50 MB and must go by `share`; the second fits and goes by `copy`. Memory is what the promoting process
grows by, over a small promotion before. Goals: TMPDIR never over its limit, memory growth below 150 MB.

    python -m benchmarks.promotion_memory [--large-megabytes 2048] [--fitting-megabytes 512]

A quick look: `--large-megabytes 64 --fitting-megabytes 32`. Needs twice the models' size on disk.
"""

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any, Self

import psutil
from azure.storage.blob import BlobBlock, BlobClient, ContainerClient

from local.azure_ml.settings import Settings as StandInSettings
from local.azure_ml.settings import SettingsBook
from tests.support.net import free_ports

ROOT = Path(__file__).parents[1]
MEGABYTE = 1024 * 1024
SMALL_TMPDIR = 50 * MEGABYTE
MEMORY_GOAL = 150 * MEGABYTE
BLOCK = 8 * MEGABYTE
DEV, STORE = "mlw-dev", "workspaceblobstore"
QUICK = {"registry_create": 0.0, "registry_import": 0.0}
MLMODEL = b"flavors:\n  python_function:\n    loader_module: none\n"
VERSION = "20251210-1"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """The stand-in and its blob storage."""

    blob_port: int
    data: Path
    settings: StandInSettings
    proxy_port: int

    def environment(self, identity: str) -> dict[str, str]:
        who = next(one for one in self.settings.identities if one.name == identity)
        return {
            "HTTPS_PROXY": f"http://127.0.0.1:{self.proxy_port}",
            "NO_PROXY": "127.0.0.1,localhost",
            "REQUESTS_CA_BUNDLE": str(self.data / "ca-bundle.pem"),
            "AZURE_TENANT_ID": self.settings.tenant_id,
            "AZURE_CLIENT_ID": who.client_id,
            "AZURE_CLIENT_SECRET": who.client_secret,
        }

    def dev_container(self) -> ContainerClient:
        dev = next(one for one in self.settings.workspaces if one.name == DEV)
        return ContainerClient(
            f"http://127.0.0.1:{self.blob_port}/{dev.storage_account}",
            dev.datastores[STORE],
            credential={"account_name": dev.storage_account, "account_key": dev.storage_key},
        )


@contextmanager
def running_service(directory: Path) -> Iterator[Service]:
    """Azurite on disk and the stand-in, until the end of the block."""
    blob, proxy, admin = free_ports(3)
    settings = SettingsBook({"durations": QUICK}).current
    (directory / "settings.json").write_text(json.dumps({"durations": QUICK}))
    accounts = ";".join(f"{one.storage_account}:{one.storage_key}" for one in settings.scopes)
    azurite = [
        str(ROOT / "node_modules/.bin/azurite-blob"), "--location", str(directory / "blobs"), "--silent",
        "--disableTelemetry", "--skipApiVersionCheck", "--blobPort", str(blob),
    ]  # fmt: skip
    stand_in = [
        sys.executable, "-m", "local.azure_ml", "--proxy-port", str(proxy), "--admin-port", str(admin),
        "--data", str(directory / "data"), "--blob-port", str(blob), "--settings", str(directory / "settings.json"),
        "--stop-with-stdin",
    ]  # fmt: skip
    clean = {key: value for key, value in os.environ.items() if not key.upper().endswith("_PROXY")}
    with (
        (directory / "services.log").open("wb") as log,
        _process(azurite, clean | {"AZURITE_ACCOUNTS": accounts}, log),
        _process(stand_in, clean, log) as child,
    ):
        _wait_for(f"http://127.0.0.1:{admin}/health", child)
        yield Service(blob_port=blob, data=directory / "data", settings=settings, proxy_port=proxy)


@contextmanager
def _process(command: list[str], env: Mapping[str, str], log: Any) -> Iterator[subprocess.Popen[bytes]]:
    child = subprocess.Popen(  # noqa: S603  # our own parts
        command, stdin=subprocess.PIPE, stdout=log, stderr=log, env=env, cwd=ROOT
    )
    try:
        yield child
    finally:
        child.terminate()
        child.wait()
        if child.stdin:
            child.stdin.close()


def _wait_for(url: str, child: subprocess.Popen[bytes]) -> None:
    deadline = time.monotonic() + 60
    while True:
        try:
            urllib.request.urlopen(url, timeout=5).close()  # noqa: S310  # our own address
        except OSError:
            if child.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.2)
        else:
            return


def put_model(container: ContainerClient, name: str, megabytes: int) -> None:
    """A model of random bytes in blocks, straight into the storage: one block's worth of memory."""
    folder = f"benchmark/{name}"
    container.upload_blob(f"{folder}/MLmodel", MLMODEL)
    blob: BlobClient = container.get_blob_client(f"{folder}/weights.bin")
    chance, blocks = Random(name), []  # noqa: S311  # content that no storage can compress
    for start in range(0, megabytes * MEGABYTE, BLOCK):
        size = min(BLOCK, megabytes * MEGABYTE - start)
        blocks.append(BlobBlock(f"{start:016d}"))
        blob.stage_block(blocks[-1].id, chance.randbytes(size))
    blob.commit_block_list(blocks)


REGISTER = f"""
import json, sys
from azure.ai.ml import MLClient
from azure.ai.ml.entities import Model
from azure.identity import DefaultAzureCredential
scope, names = json.load(sys.stdin)
client = MLClient(DefaultAzureCredential(), *scope)
for name in names:
    path = f"azureml://datastores/{STORE}/paths/benchmark/{{name}}"
    client.models.create_or_update(Model(name=name, version="1", path=path, type="mlflow_model"))
"""


def register(service: Service, names: list[str]) -> None:
    """As a training build: with the real client and the build's identity, in a process of its own."""
    dev = next(one for one in service.settings.workspaces if one.name == DEV)
    scope = (dev.subscription_id, dev.resource_group, dev.name)
    subprocess.run(  # noqa: S603  # our own lines
        [sys.executable, "-W", "ignore", "-c", REGISTER],
        input=json.dumps([scope, names]).encode(),
        env=os.environ | service.environment("builder"),
        check=True,
        capture_output=True,
    )


class Watch:
    """The most memory of this process and the most bytes below a folder, looked at fifty times a second."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._process = psutil.Process()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._look, daemon=True)
        self.memory_before = self.memory = self._process.memory_info().rss
        self.files = 0

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _look(self) -> None:
        while not self._over.wait(0.02):
            self.memory = max(self.memory, self._process.memory_info().rss)
            self.files = max(self.files, _bytes_below(self._folder))


def _bytes_below(folder: Path) -> int:
    total = 0
    for path in folder.rglob("*"):
        try:
            total += path.stat().st_size if path.is_file() else 0
        except FileNotFoundError:
            continue
    return total


def promote(model: str, limit: int, subscription: str) -> dict[str, Any]:
    """In the measured process: a small promotion first, then the one that counts, with a TMPDIR of `limit` bytes."""
    from shared.adapters.azure_ml.gateway import AzureMlGateway  # noqa: PLC0415  # the parent never loads the SDK
    from shared.adapters.azure_ml.promotion import TemporarySpace  # noqa: PLC0415
    from shared.config import Settings  # noqa: PLC0415

    place = Path(tempfile.gettempdir())
    settings = Settings.model_validate({"azure_subscription_id": subscription, "ml_poll_seconds": 0.2})
    gateway = AzureMlGateway(settings, space=TemporarySpace(lambda: limit - _bytes_below(place)))
    asked = {"source_version": "1", "version": VERSION, "tags": {"plant_id": "P"}, "mode": "auto"}
    gateway.promote(name=f"small-{model}", **asked)  # type: ignore[arg-type]  # one set of arguments, used twice
    with Watch(place) as watch:
        began = time.monotonic()
        done = gateway.promote(name=model, **asked)  # type: ignore[arg-type]  # the same
        seconds = time.monotonic() - began
    return {
        "mode": done.mode,
        "seconds": seconds,
        "growth": watch.memory - watch.memory_before,
        "files": watch.files,
        "left": _bytes_below(place),
    }


def measured(service: Service, model: str, limit: int) -> dict[str, Any]:
    """One promotion in a process of its own; no file there can grow beyond the limit, whatever the code believes."""
    subscription = service.settings.workspaces[0].subscription_id
    with tempfile.TemporaryDirectory(prefix="promotion-benchmark-") as place:
        done = subprocess.run(  # noqa: S603  # this very module
            [
                sys.executable,
                "-W",
                "ignore",
                "-m",
                "benchmarks.promotion_memory",
                "--measure",
                model,
                str(limit),
                subscription,
            ],
            env=os.environ | service.environment("app") | {"TMPDIR": place},
            cwd=ROOT,
            check=False,
            capture_output=True,
            text=True,
        )
    if done.returncode != 0:
        raise SystemExit(f"the promotion of {model} failed:\n{done.stderr[-3000:]}")
    result: dict[str, Any] = json.loads(done.stdout.strip().splitlines()[-1])
    return result


def shown(title: str, megabytes: int, limit: int, wanted: str, seen: Mapping[str, Any]) -> bool:
    """Print one promotion; whether it met its goals."""
    size = megabytes * MEGABYTE
    print(
        f"{title}: {megabytes} MB by {seen['mode']}, memory growth {seen['growth'] / MEGABYTE:.0f} MB "
        f"({seen['growth'] / size:.3f} of the model; goal below {MEMORY_GOAL // MEGABYTE} MB), "
        f"TMPDIR at most {seen['files'] / MEGABYTE:.0f} of {limit // MEGABYTE} MB, {seen['left']} bytes left there; "
        f"{seen['seconds']:.0f} s"
    )
    fits = seen["files"] <= limit and seen["left"] == 0
    return bool(seen["mode"] == wanted and seen["growth"] < MEMORY_GOAL and fits)


def main() -> int:
    """Print both promotions; 1 if a goal is missed."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--large-megabytes", type=int, default=2048, help="the model that does not fit")
    parser.add_argument("--fitting-megabytes", type=int, default=512, help="the model that fits")
    parser.add_argument("--measure", nargs=3, metavar=("MODEL", "LIMIT", "SUBSCRIPTION"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.measure:
        model, limit, subscription = options.measure
        resource.setrlimit(resource.RLIMIT_FSIZE, (int(limit), int(limit)))
        print(json.dumps(promote(model, int(limit), subscription)))
        return 0
    roomy = (options.fitting_megabytes + 64) * MEGABYTE
    with (
        tempfile.TemporaryDirectory(prefix="promotion-benchmark-") as directory,
        running_service(Path(directory)) as service,
    ):
        with service.dev_container() as container:
            put_model(container, "large", options.large_megabytes)
            put_model(container, "fitting", options.fitting_megabytes)
            for name in ("small-large", "small-fitting"):
                put_model(container, name, 1)
        register(service, ["small-large", "large", "small-fitting", "fitting"])
        large = measured(service, "large", SMALL_TMPDIR)
        fitting = measured(service, "fitting", roomy)
    met = [
        shown("larger than TMPDIR", options.large_megabytes, SMALL_TMPDIR, "share", large),
        shown("fits", options.fitting_megabytes, roomy, "copy", fitting),
    ]
    return 0 if all(met) else 1


if __name__ == "__main__":
    sys.exit(main())
