"""The artifact that the demo uploads."""

import json

from local.demo.manifest import EXAMPLE, next_artifact, with_unseen_cutoff


def test_the_first_demo_uploads_the_example_as_it_is() -> None:
    """What a reader sees in examples/ is what runs."""
    artifact = next_artifact(lambda _: False)
    assert artifact.content == json.loads(EXAMPLE.read_text())
    assert artifact.path == "releases/20251210.1/12345/changed_circuits.json"


def test_the_next_demo_takes_the_next_number_and_its_own_build() -> None:
    """Body and path agree on both."""
    artifact = next_artifact({"20251210.1", "20251210.2"}.__contains__)
    assert (artifact.release_id, artifact.build_id) == ("20251210.3", "12347")
    assert (artifact.content["release_id"], artifact.content["build_id"]) == ("20251210.3", "12347")
    assert "20251210.3/12347" in artifact.path


def test_an_unseen_cutoff_is_later_and_differs_from_release_to_release() -> None:
    """No model of an earlier demo can be eligible by chance."""
    first = with_unseen_cutoff(next_artifact(lambda _: False))
    second = with_unseen_cutoff(next_artifact({"20251210.1"}.__contains__))
    dates = [{entry["cutoff_date"] for entry in artifact.content["circuits"]} for artifact in (first, second)]
    assert dates == [{"2025-11-16"}, {"2025-11-17"}]
