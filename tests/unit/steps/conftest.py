"""Unit tests of the steps: a fresh world for each."""

import pytest

from tests.support.circuit_world import World


@pytest.fixture
def world() -> World:
    return World()
