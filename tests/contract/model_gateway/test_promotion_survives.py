"""Promotion with the real SDK: by both ways, through faults, crashes and competition."""

import tempfile
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from azure.storage.blob import BlobBlock
from azure_ml_process import QUICK, AzureMl
from estates import RealEstate, SomeCircuit, eventually, model_files, settings_for
from subjects import VERSION, in_dev, promoted, tags_of

from shared.adapters.azure_ml.blobs import BlobFolder, content_hash
from shared.adapters.azure_ml.gateway import AzureMlGateway
from shared.adapters.azure_ml.promotion import TemporarySpace
from shared.domain.errors import ConfigurationError, PermanentError, TransientError

pytestmark = pytest.mark.stack
A_MOMENT = 0.5


@pytest.fixture
def temporary_files(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where this test's temporary files go."""
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    return tmp_path


def versions_in_registry(estate: RealEstate, model: str) -> list[str]:
    return [str(one.version) for one in estate.gateway._clients.registry().models.list(name=model)]


def test_a_model_that_does_not_fit_is_shared_with_exactly_the_tags(azure_ml: AzureMl, real_estate: RealEstate) -> None:
    """D7, R15: server-side sharing brings Dev's tags along; what counts in the end are the seven, and the content."""
    subject = in_dev(real_estate)
    cramped = AzureMlGateway(settings_for(azure_ml), space=TemporarySpace(lambda: 0))
    tags = tags_of(subject)
    done = cramped.promote(name=subject.model, source_version="3", version=VERSION, tags=tags, mode="auto")
    assert done.mode == "share"
    assert dict(done.version.tags) == tags
    assert done.content_hash == real_estate.gateway.dev_content_hash(subject.model, "3")
    assert done.version.properties["source_version"] == "3"
    again = cramped.promote(name=subject.model, source_version="3", version=VERSION, tags=tags, mode="auto")
    assert again == done


def test_a_copy_that_does_not_fit_names_the_setting(azure_ml: AzureMl, real_estate: RealEstate) -> None:
    """D7: asked for by name, `copy` is not quietly replaced."""
    subject = in_dev(real_estate)
    cramped = AzureMlGateway(settings_for(azure_ml), space=TemporarySpace(lambda: 0))
    with pytest.raises(PermanentError, match="PROMOTION_MODE"):
        cramped.promote(name=subject.model, source_version="3", version=VERSION, tags=tags_of(subject), mode="copy")
    assert real_estate.gateway.registry_model(subject.model, VERSION) is None


def test_temporary_files_are_gone_after_success_and_after_failure(
    azure_ml: AzureMl, real_estate: RealEstate, temporary_files: Path
) -> None:
    """D7: Flex has 0.8 GB of temporary storage for everybody: nothing of a model may stay in it."""
    promoted(real_estate)
    assert list(temporary_files.iterdir()) == []
    subject = in_dev(real_estate)
    azure_ml.fault(
        match={"operation": "blob.put", "path_regex": "^mlrsharedstorage"}, action="status", status=403, count=None
    )
    with pytest.raises(ConfigurationError):
        real_estate.gateway.promote(
            name=subject.model, source_version="3", version=VERSION, tags=tags_of(subject), mode="copy"
        )
    assert list(temporary_files.iterdir()) == []


@pytest.mark.parametrize("status", [503, None], ids=["503", "dropped"])
def test_a_lost_answer_of_the_registry_is_settled_by_reading_again(
    azure_ml: AzureMl, real_estate: RealEstate, status: int | None
) -> None:
    """The version was made, all answers were lost: promotion looks what the Registry holds, and is done."""
    subject = in_dev(real_estate)
    azure_ml.fault(match={"operation": "registry.models.put"}, action="after_effect", status=status, count=None)
    done = real_estate.gateway.promote(
        name=subject.model, source_version="3", version=VERSION, tags=tags_of(subject), mode="copy"
    )
    assert done.content_hash == real_estate.gateway.dev_content_hash(subject.model, "3")
    assert versions_in_registry(real_estate, subject.model) == [VERSION]


def test_a_crash_in_the_middle_of_an_upload_does_not_spoil_the_next_attempt(
    azure_ml: AzureMl, real_estate: RealEstate
) -> None:
    """Half the files lie in the place that the Registry gives out for this version; the next attempt still works."""
    subject = in_dev(real_estate)
    azure_ml.fault(
        match={"operation": "blob.put", "path_regex": "^mlrsharedstorage.*data.txt"}, action="status", status=403
    )
    promote = {
        "name": subject.model,
        "source_version": "3",
        "version": VERSION,
        "tags": tags_of(subject),
        "mode": "copy",
    }
    with pytest.raises(ConfigurationError):
        real_estate.gateway.promote(**promote)  # type: ignore[arg-type]  # one call, made twice
    done = real_estate.gateway.promote(**promote)  # type: ignore[arg-type]  # one call, made twice
    assert done.content_hash == real_estate.gateway.dev_content_hash(subject.model, "3")


def test_a_version_without_its_tags_gets_them(real_estate: RealEstate) -> None:
    """D7: a crash between the two writes of `share` leaves content without tags: the next attempt completes it."""
    subject = in_dev(real_estate)
    gateway = real_estate.gateway
    with tempfile.TemporaryDirectory() as directory:
        for path, content in model_files().items():
            target = Path(directory) / path
            target.parent.mkdir(exist_ok=True)
            target.write_bytes(content)
        from shared.adapters.azure_ml import sdk

        model = sdk.new_model(
            name=subject.model, version=VERSION, path=directory, tags={"validated": "true"}, properties={}
        )
        gateway._clients.registry().models.create_or_update(model)
    tags = tags_of(subject)
    done = gateway.promote(name=subject.model, source_version="3", version=VERSION, tags=tags, mode="copy")
    assert dict(done.version.tags) == tags
    assert done.version.properties["content_hash"] == done.content_hash


@pytest.fixture
def slow_registry(azure_ml: AzureMl) -> Iterator[None]:
    """A version takes a moment to appear, for the length of a test."""
    azure_ml.change(durations={"registry_create": A_MOMENT})
    yield
    azure_ml.change(durations={"registry_create": QUICK["registry_create"]})


@pytest.mark.usefixtures("slow_registry")
def test_two_promotions_of_one_version_at_once_both_succeed(azure_ml: AzureMl, real_estate: RealEstate) -> None:
    """A redelivered message meets the first one at work: one version, the right content, no error."""
    subject = in_dev(real_estate)
    tags = tags_of(subject)

    def attempt(_: int) -> str:
        gateway = AzureMlGateway(settings_for(azure_ml))

        def once() -> str | None:
            try:
                return gateway.promote(
                    name=subject.model, source_version="3", version=VERSION, tags=tags, mode="copy"
                ).content_hash
            except TransientError:
                return None

        return eventually(once, "the promotion settles")

    with ThreadPoolExecutor(2) as pool:
        digests = set(pool.map(attempt, range(2)))
    assert digests == {real_estate.gateway.dev_content_hash(subject.model, "3")}
    assert versions_in_registry(real_estate, subject.model) == [VERSION]


def promotion_of(subject: SomeCircuit) -> dict[str, Any]:
    return {
        "name": subject.model,
        "source_version": "3",
        "version": VERSION,
        "tags": tags_of(subject),
        "mode": "copy",
    }


def given_up_on(azure_ml: AzureMl, subject: SomeCircuit) -> None:
    """A promotion whose time is up while its write to the Registry goes on behind its back."""
    impatient = AzureMlGateway(settings_for(azure_ml), patience=timedelta(seconds=A_MOMENT))
    with pytest.raises(TransientError, match="has not ended within"):
        impatient.promote(**promotion_of(subject))
    assert still_writing(subject)


def still_writing(subject: SomeCircuit) -> bool:
    return any(thread.name.startswith(f"writing {subject.model} ") for thread in threading.enumerate())


def test_the_next_attempt_meets_an_upload_that_was_given_up_on(azure_ml: AzureMl, real_estate: RealEstate) -> None:
    """R17: one version with the right content and tags, and it stays so when the abandoned upload comes to its end."""
    subject = in_dev(real_estate)
    azure_ml.fault(
        match={"operation": "blob.put", "path_regex": "^mlrsharedstorage.*data.txt"},
        action="delay",
        seconds=3 * A_MOMENT,
    )
    given_up_on(azure_ml, subject)
    done = real_estate.gateway.promote(**promotion_of(subject))
    eventually(lambda: None if still_writing(subject) else True, "the abandoned upload ends")
    assert done.content_hash == real_estate.gateway.dev_content_hash(subject.model, "3")
    assert real_estate.gateway.promote(**promotion_of(subject)) == done
    assert versions_in_registry(real_estate, subject.model) == [VERSION]


def test_a_version_that_appears_after_it_was_given_up_on_is_taken_as_it_is(
    azure_ml: AzureMl, real_estate: RealEstate
) -> None:
    """D12: whoever retries a release later finds what its abandoned write has left, and writes nothing."""
    subject = in_dev(real_estate)
    azure_ml.fault(match={"operation": "registry.models.put"}, action="delay", seconds=3 * A_MOMENT)
    given_up_on(azure_ml, subject)
    assert real_estate.gateway.registry_model(subject.model, VERSION) is None
    eventually(lambda: None if still_writing(subject) else True, "the abandoned write ends")
    before = azure_ml.last_entry()
    done = real_estate.gateway.promote(**promotion_of(subject))
    assert done.version.tags.keys() == tags_of(subject).keys()
    assert done.content_hash == real_estate.gateway.dev_content_hash(subject.model, "3")
    written = [one for one in azure_ml.journal(before) if one["scope"] == "mlr-shared" and "write" in one["kind"]]
    assert written == []
    assert versions_in_registry(real_estate, subject.model) == [VERSION]


def test_promotion_writes_nothing_to_dev(azure_ml: AzureMl, real_estate: RealEstate) -> None:
    """Dev is only ever read (R5)."""
    subject = in_dev(real_estate)
    before = azure_ml.last_entry()
    real_estate.gateway.promote(
        name=subject.model, source_version="3", version=VERSION, tags=tags_of(subject), mode="copy"
    )
    kinds = {entry["kind"] for entry in azure_ml.journal(before) if entry["scope"] == "mlw-dev"}
    assert kinds <= {"read", "blob-read"}


def test_files_uploaded_in_blocks_have_the_same_hash_as_files_uploaded_at_once(azure_ml: AzureMl) -> None:
    """The storage keeps no MD5 for the former: the hash must not depend on how a file came there."""
    content = b"weights " * 5000
    with azure_ml.container("mlw-dev", "workspaceblobstore") as container:
        container.upload_blob("hashing/whole/model.bin", content, overwrite=True)
        blob = container.get_blob_client("hashing/blocks/model.bin")
        blob.stage_block("0001", content[:20000])
        blob.stage_block("0002", content[20000:])
        blob.commit_block_list([BlobBlock("0001"), BlobBlock("0002")])
        container.upload_blob("hashing/blocks-and-more/model.bin", content, overwrite=True)
        whole, blocks = BlobFolder(container, "hashing/whole"), BlobFolder(container, "hashing/blocks/")
        assert [file.md5 for file in blocks.files()] == [""]
        assert content_hash(blocks.identified(blocks.files())) == content_hash(whole.identified(whole.files()))
