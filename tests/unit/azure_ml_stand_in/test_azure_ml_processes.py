"""The stand-in's scoring processes: one host, a process of its own for each mini batch, and nothing left behind."""

import asyncio
import json
import os
import signal
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import psutil
import pytest
import pytest_asyncio

from local.azure_ml.processes import DIED, ScoringProcesses

pytestmark = pytest.mark.asyncio(loop_scope="module")

SOURCE = "class Model:\n    def predict(self, data):\n        {body}\n\n\ndef _load_pyfunc(path):\n    return Model()\n"
MLMODEL = "flavors:\n  python_function:\n    loader_module: own_loader\n    code: code\n"
SLEEPS = "import os, time; print(os.getpid(), flush=True); time.sleep(600)"

type Spec = Callable[[str], Path]


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def processes() -> AsyncIterator[ScoringProcesses]:
    """One host for all: to start one costs a second of a processor."""
    running = ScoringProcesses()
    await running.prepare()
    yield running
    await running.stop()


@pytest.fixture
def spec(tmp_path: Path) -> Spec:
    """A mini batch of one row for a model whose `predict` is given."""

    def write(body: str) -> Path:
        code = tmp_path / "model" / "code"
        code.mkdir(parents=True)
        (code / "own_loader.py").write_text(SOURCE.format(body=body))
        (tmp_path / "model" / "MLmodel").write_text(MLMODEL)
        (tmp_path / "row.csv").write_text("a\n1\n")
        paths = {"model": tmp_path / "model", "input": tmp_path, "output": tmp_path / "out.csv"}
        file = tmp_path / "part.json"
        file.write_text(json.dumps({"files": [str(tmp_path / "row.csv")]} | {key: str(p) for key, p in paths.items()}))
        return file

    return write


async def until(look: Callable[[], bool]) -> bool:
    """Look until it is so; what never is keeps the test waiting until its time-out."""
    while not look():  # noqa: ASYNC110 - what another process does sets no event here
        await asyncio.sleep(0.02)
    return True


async def the_pid(spec: Path) -> int:
    """What a sleeping model has printed."""
    printed = spec.with_suffix(".stdout")
    await until(lambda: printed.exists() and printed.read_text().endswith("\n"))
    return int(printed.read_text())


def is_gone(pid: int) -> bool:
    try:
        return psutil.Process(pid).status() == psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return True


async def test_each_mini_batch_has_a_process_and_outputs_of_its_own(processes: ScoringProcesses, spec: Spec) -> None:
    """What it prints is told apart from what it writes, and no credential of anybody is in its environment."""
    ended = await processes.run(spec("import os; print(sorted(os.environ)); return [os.getpid()]"))
    assert (ended.code, ended.stderr) == (0, b"")
    assert b"'PATH'" in ended.stdout
    assert b"AZURE" not in ended.stdout
    assert b"PROXY" not in ended.stdout


@pytest.mark.parametrize(
    ("body", "code", "said"),
    [
        ("raise ValueError('no such sensor')", 1, b"ValueError: no such sensor"),
        ("raise SystemExit(0)", 1, b"SystemExit"),
        ("import os; os._exit(7)", 7, b""),
        ("import os, signal; os.kill(os.getpid(), signal.SIGSEGV)", -signal.SIGSEGV, b""),
    ],
    ids=["raises", "exits", "exits at once", "crashes"],
)
async def test_however_a_model_ends_its_process_the_host_goes_on(
    processes: ScoringProcesses, spec: Spec, body: str, code: int, said: bytes
) -> None:
    """The exit code and what was said come back; the host forks the next one."""
    ended = await processes.run(spec(body))
    assert ended.code == code
    assert said in ended.stderr


async def test_a_cancelled_mini_batch_is_dead_when_its_caller_hears_of_it(
    processes: ScoringProcesses, spec: Spec
) -> None:
    """Nothing writes into a folder that is about to be removed."""
    asleep = spec(SLEEPS)
    running = asyncio.create_task(processes.run(asleep))
    pid = await the_pid(asleep)
    running.cancel()
    with pytest.raises(asyncio.CancelledError):
        await running
    assert not psutil.pid_exists(pid)


async def test_a_host_that_dies_takes_its_mini_batches_along_and_is_started_again(
    processes: ScoringProcesses, spec: Spec
) -> None:
    """The mini batch failed, as if its node had been lost; the next one is scored."""
    asleep = spec(SLEEPS)
    running = asyncio.create_task(processes.run(asleep))
    pid = await the_pid(asleep)
    os.kill(psutil.Process(pid).ppid(), signal.SIGKILL)
    assert (await running).code == DIED
    assert await until(lambda: is_gone(pid))
    (asleep.parent / "model/code/own_loader.py").write_text(SOURCE.format(body="return [1]"))
    assert (await processes.run(asleep)).code == 0
