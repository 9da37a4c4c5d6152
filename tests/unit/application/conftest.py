"""Unit tests of the use cases: a fresh pipeline in memory for each."""

import pytest

from tests.support.pipeline_world import PipelineWorld


@pytest.fixture
def world() -> PipelineWorld:
    return PipelineWorld()
