"""One stack for all end-to-end tests of a run: started once, stopped at the end without a trace."""

from collections.abc import Iterator

import psutil
import pytest

from local.stack.control import down, running_stack, up
from local.stack.files import read_json
from local.stack.places import Places
from local.stack.ports import Ports, free_base, taken
from tests.support.pipeline import Pipeline
from tests.support.stories import Stories

STOPPED_WITHIN_SECONDS = 10


@pytest.fixture(scope="session")
def pipeline(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Pipeline]:
    """A stack of its own; afterwards no process of it lives and no port of it is held."""
    places = Places(dir=tmp_path_factory.mktemp("stack"), ports=Ports(base=free_base()))
    stack = up(places, print, tethered=True)
    processes = _processes(places)
    running = Pipeline(stack=stack, places=places)
    try:
        yield running
    finally:
        running.close()
        processes |= _processes(places)
        was_up = down(places)
    assert was_up, "the stack had stopped by itself"
    _, alive = psutil.wait_procs(processes, timeout=STOPPED_WITHIN_SECONDS)
    assert alive == []
    assert taken(places.ports.base) == []
    assert running_stack(places) is None


def _processes(places: Places) -> set[psutil.Process]:
    """Everything that runs because this stack runs."""
    status = read_json(places.status)
    assert status
    supervisor = psutil.Process(status["supervisor"])
    return {supervisor, *supervisor.children(recursive=True)}


@pytest.fixture(scope="session")
def stories(pipeline: Pipeline) -> Iterator[Stories]:
    """Whole releases in the background."""
    told = Stories(pipeline)
    yield told
    told.close()


@pytest.fixture(scope="session", autouse=True)
def early_start(request: pytest.FixtureRequest) -> None:
    """Begin the stories at once if any test of this run asks for them."""
    if any("stories" in item.fixturenames for item in request.session.items if isinstance(item, pytest.Function)):
        request.getfixturevalue("stories")
