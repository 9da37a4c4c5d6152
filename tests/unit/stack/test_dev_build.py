"""What a sample build leaves in Dev: one right model per circuit among others that are not."""

from datetime import date

import pytest

from local.samples.dev_build import BuiltCircuit, DevModel, Trait, dev_models

CUTOFF = date(2025, 11, 1)


def built(trait: Trait = Trait.ORDINARY) -> BuiltCircuit:
    """A circuit of the build."""
    return BuiltCircuit(plant_id="PLANT001", circuit_id="CIRCUIT01", cutoff_date=CUTOFF, trait=trait)


def right_ones(models: list[DevModel]) -> list[DevModel]:
    """Those that R11 and R12 choose: validated exactly `true`, this cutoff, this build."""
    wanted = {"validated": "true", "cutoff_date": "2025-11-01", "build_id": "12345"}
    return [model for model in models if wanted.items() <= model.tags.items()]


def test_exactly_one_model_is_the_right_one_and_it_is_not_the_newest() -> None:
    """Whoever takes the newest, or the newest validated, takes a wrong one."""
    models = dev_models([built()], "12345")
    assert len(right_ones(models)) == 1
    assert models[-1] not in right_ones(models)


def test_the_decoys_are_the_four_kinds_that_pipelines_fall_for() -> None:
    """Unvalidated and newer, `True` instead of `true`, another cutoff, another build."""
    models = dev_models([built()], "12345")
    right = right_ones(models)[0]
    newer = models[models.index(right) + 1 :]
    assert [model.tags.get("validated") for model in newer] == ["True", None]
    validated = [model for model in models if model.tags.get("validated") == "true" and model is not right]
    assert {(model.tags["cutoff_date"], model.tags["build_id"]) for model in validated} == {
        ("2025-10-01", "12345"),
        ("2025-11-01", "12345-nightly"),
    }


def test_all_tags_are_those_a_dev_build_writes_and_all_are_strings() -> None:
    """The cutoff date is also the version of the circuit's data asset."""
    tags = dev_models([built()], "12345")[2].tags
    assert tags["data_asset_name"] == "PLANT001_CIRCUIT01"
    assert tags["data_asset_version"] == tags["cutoff_date"]
    assert set(tags) == {
        "cutoff_date",
        "data_asset_name",
        "data_asset_version",
        "build_id",
        "component_version",
        "validated",
        "plant_id",
        "circuit_id",
    }
    assert all(isinstance(value, str) for value in tags.values())


def test_a_circuit_never_validated_has_no_eligible_model_of_its_cutoff() -> None:
    """Not even one of another build, which could be taken with a warning."""
    models = dev_models([built(Trait.NEVER_VALIDATED)], "12345")
    assert models
    assert not [m for m in models if (m.tags.get("validated"), m.tags["cutoff_date"]) == ("true", "2025-11-01")]


@pytest.mark.parametrize("trait", [Trait.ORDINARY, Trait.RAISES_ON_ITS_DATA])
def test_only_the_right_model_of_a_raising_circuit_raises(trait: Trait) -> None:
    """The failure shows in the smoke test of the chosen model and nowhere earlier."""
    models = dev_models([built(trait)], "12345")
    ignorant = [model for model in models if not model.knows_flushing]
    assert ignorant == (right_ones(models) if trait is Trait.RAISES_ON_ITS_DATA else [])
