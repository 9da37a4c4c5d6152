"""Unit: which Dev model is taken (R11, R12), among the decoys a Dev workspace holds."""

import pytest

from shared.domain.choice import Candidate, Wish, choose, listed

CUTOFF, BUILD = "2025-11-01", "12345"


def a_candidate(version: str, *, validated: str | None = "true", cutoff: str = CUTOFF, build: str = BUILD) -> Candidate:
    tags = {"cutoff_date": cutoff, "build_id": build}
    return Candidate(version=version, tags=tags if validated is None else tags | {"validated": validated})


def a_wish(version: str = "", *, cutoff: str = CUTOFF, build: str = BUILD) -> Wish:
    return Wish(version=version, cutoff_date=cutoff, build_id=build)


DECOYS = (
    a_candidate("5", validated=None),
    a_candidate("4", validated="True"),
    a_candidate("3", cutoff="2025-10-01"),
    a_candidate("2", build="99999"),
)


def test_the_model_of_this_cutoff_date_and_build_is_taken_from_among_the_decoys() -> None:
    """Newer, unvalidated, other cutoff and other build: none of them is it (known failure 4)."""
    choice = choose((*DECOYS, a_candidate("1")), a_wish())

    assert (choice.version, choice.warning, choice.problem) == ("1", "", "")


def test_the_order_of_the_candidates_does_not_matter() -> None:
    """The first validated model is not simply taken."""
    candidates = (a_candidate("1"), *reversed(DECOYS))

    assert choose(candidates, a_wish()).version == "1"


@pytest.mark.parametrize("validated", [None, "True", "TRUE", "yes", "1", "", " true", "false"])
def test_only_the_exact_tag_true_is_eligible(validated: str | None) -> None:
    """R11: anything but `true` fails the circuit, with the candidate named."""
    choice = choose([a_candidate("7", validated=validated)], a_wish())

    assert choice.version == ""
    assert "version 7" in choice.problem


def test_the_version_the_artifact_names_goes_before_cutoff_and_build() -> None:
    """R12, first rule."""
    choice = choose([a_candidate("9"), a_candidate("8", build="99999")], a_wish("8"))

    assert (choice.version, choice.warning) == ("8", "")


def test_a_named_version_that_does_not_exist_fails_with_the_candidates_listed() -> None:
    """It is not replaced by another one."""
    choice = choose([a_candidate("9")], a_wish("8"))

    assert choice.version == ""
    assert "no version 8" in choice.problem
    assert "version 9 (validated=true, cutoff_date=2025-11-01, build_id=12345)" in choice.problem


def test_a_named_version_must_be_validated_too() -> None:
    """R11 holds for every way of choosing."""
    choice = choose([a_candidate("8", validated="True")], a_wish("8"))

    assert choice.version == ""
    assert "'True', not 'true'" in choice.problem


def test_a_named_version_of_another_cutoff_date_contradicts_the_artifact() -> None:
    """The artifact says two things that can't both be true."""
    choice = choose([a_candidate("8", cutoff="2025-10-01")], a_wish("8"))

    assert choice.version == ""
    assert "2025-11-01" in choice.problem


def test_the_only_model_of_the_cutoff_date_is_taken_with_a_warning_that_names_its_build() -> None:
    """R12, third rule."""
    choice = choose([a_candidate("8", build="99999"), *DECOYS[:3]], a_wish())

    assert choice.version == "8"
    assert "99999" in choice.warning
    assert "12345" in choice.warning


def test_an_unknown_build_matches_nothing_by_build() -> None:
    """A tag that says `unknown` is no match for a build nobody named."""
    choice = choose([a_candidate("8", build="unknown"), a_candidate("7", build="unknown")], a_wish(build="unknown"))

    assert choice.version == ""


def test_several_models_of_the_cutoff_date_and_no_build_match_fail_with_all_listed() -> None:
    """Never guessed."""
    choice = choose([a_candidate("8", build="1"), a_candidate("7", build="2")], a_wish())

    assert choice.version == ""
    assert "version 8" in choice.problem
    assert "version 7" in choice.problem
    assert "model_version" in choice.problem


def test_several_models_of_the_same_build_fail_with_all_listed() -> None:
    """A build that trained twice leaves the choice to the artifact."""
    choice = choose([a_candidate("8"), a_candidate("7"), a_candidate("6", build="1")], a_wish())

    assert choice.version == ""
    assert "2 validated models" in choice.problem


def test_no_model_at_all_fails_and_says_what_to_check() -> None:
    """Known failure 3: never skipped in silence."""
    choice = choose([], a_wish())

    assert choice.version == ""
    assert "no version of this model" in choice.problem


def test_no_eligible_model_fails_with_the_candidates_listed() -> None:
    """What is there, with the tags that decide."""
    choice = choose(DECOYS[:3], a_wish())

    assert "no model with validated=true has cutoff_date 2025-11-01" in choice.problem
    assert choice.problem.count("version ") == 3


def test_a_long_list_of_candidates_is_cut() -> None:
    """A failure's message stays readable."""
    text = listed([a_candidate(str(n)) for n in range(25, 0, -1)])

    assert text.count("version ") == 10
    assert text.endswith("and 15 older ones")


def test_a_candidate_without_tags_is_listed_as_such() -> None:
    """Models registered by hand have none."""
    assert str(Candidate(version="3", tags={})) == "version 3 (no tags)"
