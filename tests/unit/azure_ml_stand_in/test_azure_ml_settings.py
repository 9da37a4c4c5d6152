"""The stand-in's settings: what a file, the admin route and an earlier process say, in this order."""

from collections.abc import Iterator, Mapping
from pathlib import Path

import pytest

from local.azure_ml.settings import KEPT_AT, DatastoreAccess, SettingsBook, UnusableSettings
from local.azure_ml.store import Store

FILE: Mapping[str, object] = {"durations": {"endpoint_create": 7.0}}


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    made = Store(tmp_path / "state.sqlite")
    yield made
    made.close()


def test_what_was_asked_for_outlives_the_process(store: Store) -> None:
    """A later process has it on top of its own file; the rest is as the file says."""
    SettingsBook(FILE, store).patch({"quotas": {"endpoints_per_region": 3}})
    SettingsBook(FILE, store).patch({"workspaces": [{"name": "mlw-test", "region": "westeurope"}]})
    later = SettingsBook(FILE, store).current
    assert later.quotas["endpoints_per_region"] == 3
    assert {one.name: one.region for one in later.workspaces}["mlw-test"] == "westeurope"
    assert later.durations["endpoint_create"] == 7.0


def test_a_reset_forgets_it_for_good(store: Store) -> None:
    """This process and the next one start from the file again."""
    book = SettingsBook(FILE, store)
    book.patch({"durations": {"endpoint_create": 1.0}})
    assert book.reset().durations["endpoint_create"] == 7.0
    assert SettingsBook(FILE, store).current.durations["endpoint_create"] == 7.0


def test_a_refused_change_is_not_kept(store: Store) -> None:
    """Otherwise the next process would not start."""
    with pytest.raises(ValueError, match="no-such-access"):
        SettingsBook(FILE, store).patch({"workspaces": [{"name": "mlw-test", "datastore_access": "no-such-access"}]})
    assert SettingsBook(FILE, store).current.workspaces[1].datastore_access is DatastoreAccess.KEY


def test_settings_that_were_kept_and_make_no_sense_do_not_hinder_the_start(
    store: Store, caplog: pytest.LogCaptureFixture
) -> None:
    """An older version may have kept them: the log names them, the file's settings hold, and new ones are taken."""
    store.put(*KEPT_AT, {"page_size": 0, "durations": {"endpoint_create": 1.0}})
    book = SettingsBook(FILE, store)
    assert (book.current.page_size, book.current.durations["endpoint_create"]) == (100, 7.0)
    assert "page_size: Input should be greater than or equal to 1 (given: 0)" in caplog.text
    book.patch({"page_size": 5})
    assert SettingsBook(FILE, store).current.page_size == 5


def test_a_refusal_repeats_no_key() -> None:
    """The one who asks knows it; whoever reads the log need not."""
    place = {**_place(), "storage_key": "a-secret-key"}
    del place["region"]
    with pytest.raises(UnusableSettings, match=r"mlw-new\.region: Field required") as refusal:
        SettingsBook({}).patch({"workspaces": [{"name": "mlw-new", **place}]})
    assert "a-secret-key" not in str(refusal.value)


def test_a_name_belongs_to_one_workspace_over_all_subscriptions() -> None:
    """State is kept by name: two of one name would be one."""
    with pytest.raises(ValueError, match="one name"):
        SettingsBook({"registries": [{"name": "mlw-test", **_place()}]})


def _place() -> dict[str, str]:
    keys = ("resource_group", "subscription_id", "region", "storage_account", "storage_key")
    return dict.fromkeys(keys, "xxx")
