"""One stand-in for the whole suite; it and the environment that leads to it are gone with the suite."""

from collections.abc import Iterator

import pytest
from azure_ml_process import QUICK, VISIBLE, AzureMl, running_azure_ml
from estates import Estate, FakeEstate, RealEstate, SomeCircuit
from subjects import deployed


@pytest.fixture(scope="package")
def azure_ml(tmp_path_factory: pytest.TempPathFactory) -> Iterator[AzureMl]:
    """Azurite and the stand-in, and this process's environment pointed at them."""
    with pytest.MonkeyPatch.context() as patch, running_azure_ml(tmp_path_factory.mktemp("azure_ml")) as running:
        for name, value in running.environment().items():
            patch.setenv(name, value)
        yield running


@pytest.fixture(scope="package")
def real_estate(azure_ml: AzureMl) -> RealEstate:
    """The real SDK against the stand-in, for what only it can show."""
    return RealEstate(azure_ml)


@pytest.fixture(params=["fake", pytest.param("real", marks=pytest.mark.stack)])
def estate(request: pytest.FixtureRequest) -> Estate:
    """What the contract holds for."""
    if request.param == "fake":
        return FakeEstate()
    real: RealEstate = request.getfixturevalue("real_estate")
    return real


@pytest.fixture(scope="package")
def deployed_once(real_estate: RealEstate) -> SomeCircuit:
    """On the real service a deployment takes seconds to be made: this one is for all who leave it as it is."""
    return deployed(real_estate)


@pytest.fixture
def untouched(request: pytest.FixtureRequest, estate: Estate) -> SomeCircuit:
    """A circuit with one deployment in Test and no default; whoever uses it changes neither."""
    if isinstance(estate, FakeEstate):
        return deployed(estate)
    kept: SomeCircuit = request.getfixturevalue("deployed_once")
    return kept


@pytest.fixture
def unhurried(request: pytest.FixtureRequest, estate: Estate) -> Iterator[None]:
    """The real service takes its time, for the length of a test that wants to meet it at work."""
    if isinstance(estate, FakeEstate):
        yield
        return
    running: AzureMl = request.getfixturevalue("azure_ml")
    creations = ("endpoint_create", "deployment_create")
    running.change(durations=dict.fromkeys(creations, VISIBLE))
    yield
    running.change(durations={name: QUICK[name] for name in creations})


@pytest.fixture(autouse=True)
def _no_faults_left(request: pytest.FixtureRequest) -> Iterator[None]:
    yield
    if "azure_ml" in request.fixturenames:
        running: AzureMl = request.getfixturevalue("azure_ml")
        running.clear_faults()
