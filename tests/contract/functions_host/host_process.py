"""The Functions host and what it needs, as child processes of a test."""

import json
import socket
import subprocess
import sys
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]
APPS = Path(__file__).parent / "apps"


class _Stay(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: object) -> None:
        return None


FOLLOWING, NOT_FOLLOWING = urllib.request.build_opener(), urllib.request.build_opener(_Stay)
MASTER, FUNCTION, BLOBS = "master-key", "function-key", "blobs-key"


def eventually[Result](look: Callable[[], Result | None], *, seconds: float = 15) -> Result:
    """The first truthy answer of `look`; fails when there is none in time."""
    deadline = time.monotonic() + seconds
    while True:
        if result := look():
            return result
        assert time.monotonic() < deadline, f"still {result!r} after {seconds} s"
        threading.Event().wait(0.03)


def free_ports(count: int) -> list[int]:
    sockets = [socket.create_server(("127.0.0.1", 0)) for _ in range(count)]
    ports = [each.getsockname()[1] for each in sockets]
    for each in sockets:
        each.close()
    return ports


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        return json.loads(self.body)


def request(
    url: str,
    *,
    method: str = "GET",
    headers: Mapping[str, str] | None = None,
    body: bytes | None = None,
    follow: bool = True,
) -> Answer:
    """One HTTP request; every status is an answer, also a redirect that shall not be followed."""
    asked = urllib.request.Request(url, data=body, method=method, headers=dict(headers or {}))
    try:
        with (FOLLOWING if follow else NOT_FOLLOWING).open(asked, timeout=40) as reply:
            return Answer(status=reply.status, headers=reply.headers, body=reply.read())
    except urllib.error.HTTPError as reply:
        with reply:
            return Answer(status=reply.code, headers=reply.headers, body=reply.read())


def listens(url: str) -> bool:
    try:
        return request(url).status > 0
    except OSError:
        return False


@dataclass(kw_only=True)
class Child:
    """A process that ends when its standard input does."""

    command: Sequence[str | Path]
    log: Path
    process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with self.log.open("ab") as log:
            self.process = subprocess.Popen(self.command, cwd=ROOT, stdin=subprocess.PIPE, stdout=log, stderr=log)

    def stop(self) -> int:
        assert self.process is not None
        assert self.process.stdin is not None
        self.process.stdin.close()
        return self.process.wait(timeout=20)

    def terminate(self) -> int:
        assert self.process is not None
        self.process.terminate()
        return self.stop()

    def kill(self) -> int:
        assert self.process is not None
        self.process.kill()
        return self.stop()

    def is_up(self, url: str) -> bool:
        assert self.process is not None
        assert self.process.poll() is None, self.log.read_text()
        try:
            return request(url).status == 200
        except urllib.error.URLError:
            return False


@dataclass(kw_only=True)
class HostProcess:
    """The host with one app; restartable on the same port and data."""

    directory: Path
    app: Path
    values: Mapping[str, str]
    host: Mapping[str, object] = field(default_factory=dict)
    """The settings file's section `Host`."""
    port: int = field(default_factory=lambda: free_ports(1)[0])
    child: Child = field(init=False)

    def __post_init__(self) -> None:
        settings = self.directory / "settings.json"
        values = {"SEEN_FILE": str(self.seen_file), **self.values}
        settings.write_text(json.dumps({"IsEncrypted": False, "Values": values, "Host": dict(self.host)}))
        keys = ["--master-key", MASTER, "--function-key", FUNCTION, "--blobs-extension-key", BLOBS]
        places = ["--app", self.app, "--settings", settings, "--data", self.directory / "data"]
        command = [sys.executable, "-m", "local.functions_host", *places, "--port", str(self.port), *keys]
        self.child = Child(command=[*command, "--stop-with-stdin"], log=self.directory / "host.log")

    @property
    def seen_file(self) -> Path:
        return self.directory / "seen.jsonl"

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    @property
    def blob_webhook(self) -> str:
        return f"{self.url}/runtime/webhooks/blobs?functionName=Host.Functions.artifact&code={BLOBS}"

    def start(self) -> None:
        self.child.start()
        eventually(lambda: self.child.is_up(f"{self.url}/admin/host/status"), seconds=30)

    def get(self, path: str, **options: Any) -> Answer:
        return request(self.url + path, **options)

    def log_text(self) -> str:
        return self.child.log.read_text()

    def seen(self, function: str) -> list[dict[str, Any]]:
        """What the app's function wrote down so far."""
        if not self.seen_file.exists():
            return []
        lines = [json.loads(line) for line in self.seen_file.read_text().splitlines()]
        return [line for line in lines if line["function"] == function]

    def eventually_seen(self, function: str, count: int = 1, **facts: Any) -> list[dict[str, Any]]:
        """At least so many lines of the function with these facts."""

        def look() -> list[dict[str, Any]] | None:
            fitting = [line for line in self.seen(function) if facts.items() <= line.items()]
            return fitting if len(fitting) >= count else None

        return eventually(look)
