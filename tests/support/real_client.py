"""The real azure-ai-ml client at a stack: training builds, and what an estate holds. One process for all tests of a run."""

import json
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from threading import Lock
from typing import Any

from local.demo.manifest import Artifact
from local.demo.seeding import build_plan, builder_env
from local.samples.dev_build import Trait
from local.stack.description import Stack
from local.stack.parts import clean_environment
from local.stack.places import ROOT

SIGN_IN = {
    "tenant_id": "AZURE_TENANT_ID",
    "client_id": "AZURE_CLIENT_ID",
    "client_secret": "AZURE_CLIENT_SECRET",
}


class RealClient:
    """Starts its process with the first order; whoever made it closes it. Callers at the same time wait for each other."""

    def __init__(self, stack: Stack) -> None:
        self._stack = stack
        self._lock = Lock()
        self._process: subprocess.Popen[str] | None = None

    def build(self, artifact: Artifact, traits: Mapping[tuple[str, str], Trait]) -> str:
        """Carry out a training build and say in one line what it left."""
        return str(self._obeyed({"build": build_plan(self._stack, artifact, traits)}))

    def report(self, models: Sequence[str]) -> dict[str, Any]:
        """What the app's identity sees of the estate, as `estate_report` tells it."""
        seen: dict[str, Any] = self._obeyed(self._as_app(report=models))
        return seen

    def cancel(self, job: str) -> None:
        """Cancel a batch job in Test."""
        self._obeyed(self._as_app(cancel=job))

    def completed_run(self, job: str) -> str:
        """Wait until a batch job in Test has completed; the run that scored."""
        return str(self._obeyed(self._as_app(completed=job)))

    def put_file(self, datastore: str, path: str, text: str) -> None:
        """Write a file in Test, also in the place of one that is there."""
        self._obeyed(self._as_app(put=[datastore, path, text]))

    def _as_app(self, **order: object) -> Mapping[str, object]:
        azure_ml = self._stack.azure_ml
        sign_in = {name: azure_ml.env[variable] for name, variable in SIGN_IN.items()}
        return {**order, "subscription_id": azure_ml.subscription_id, "sign_in": sign_in}

    def close(self) -> None:
        """End the process, if there is one."""
        if self._process is not None:
            with self._process:
                assert self._process.stdin
                self._process.stdin.close()

    def _obeyed(self, order: Mapping[str, object]) -> Any:
        with self._lock:
            self._process = self._process or self._start()
            assert self._process.stdin
            assert self._process.stdout
            print(json.dumps(order), file=self._process.stdin, flush=True)
            answer = json.loads(self._process.stdout.readline() or '{"error": "the client\'s process ended"}')
        assert "done" in answer, answer["error"]
        return answer["done"]

    def _start(self) -> "subprocess.Popen[str]":
        log = Path(self._stack.logs) / "real-client.log"
        with log.open("a", encoding="utf-8") as notices:
            return subprocess.Popen(
                [sys.executable, "-m", "tests.support.real_client_process"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=notices,
                text=True,
                cwd=ROOT,
                env=clean_environment() | {**builder_env(self._stack), "PYTHONWARNINGS": "ignore"},
            )
