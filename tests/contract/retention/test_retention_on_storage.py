"""Retention on real Table and Blob Storage, with whole releases of the real use cases and a clock that the test moves."""

import hashlib
from collections.abc import Iterator
from dataclasses import replace
from datetime import timedelta

import pytest
from azure.data.tables import TableServiceClient
from azure.storage.blob import BlobServiceClient

from shared.adapters.evidence_blobs import BlobEvidenceStore
from shared.adapters.table_store import CLIENT_OPTIONS, TableEndpointStore, TableReleaseStore, TableSlotStore
from shared.application.circuit_history import circuit_view
from shared.application.release_evidence import read_bundle
from shared.application.release_list import listed_releases
from shared.application.retention import Keep, Retention
from shared.domain.listing import Wanted
from shared.domain.policy import Policy
from tests.support.azurite import Account
from tests.support.builders import CIRCUIT
from tests.support.pipeline_world import PipelineWorld

DAY = timedelta(days=1)
KEEP = Keep(rows=400 * DAY, evidence=2557 * DAY)
FIRST, SECOND, THIRD = IDS = [f"202512{day}.1" for day in (10, 11, 12)]


class Storage:
    """A world of fakes, its state on real storage."""

    def __init__(self, tables: TableServiceClient, blobs: BlobServiceClient) -> None:
        self.tables, self.blobs = tables, blobs
        self.world = PipelineWorld(policy=Policy(deployments_kept=2))
        self.world.releases = TableReleaseStore(tables)  # type: ignore[assignment]  # the port, on storage
        self.world.ports = replace(
            self.world.ports,
            releases=self.world.releases,
            endpoints=TableEndpointStore(tables),
            slots=TableSlotStore(tables),
            evidence=BlobEvidenceStore(
                evidence=blobs.get_container_client("evidence"), artifacts=blobs.get_container_client("artifacts")
            ),
        )

    def partitions(self, table: str) -> set[str]:
        """What the table holds, by the first part of its rows' keys."""
        rows = self.tables.get_table_client(table).list_entities(select=["PartitionKey", "RowKey"])
        return {row["PartitionKey"] for row in rows}

    def row_keys(self, table: str, prefix: str) -> list[str]:
        rows = self.tables.get_table_client(table).list_entities(select=["PartitionKey", "RowKey"])
        return [row["RowKey"] for row in rows if row["RowKey"].startswith(prefix)]

    def folders(self) -> set[str]:
        return {name.partition("/")[0] for name in self.blobs.get_container_client("evidence").list_blob_names()}


@pytest.fixture
def storage(account: Account) -> Iterator[Storage]:
    """Three successful releases of one circuit, a day apart; the first is neither live nor was before it."""
    with (
        TableServiceClient.from_connection_string(account.connection_string, **CLIENT_OPTIONS) as tables,
        BlobServiceClient.from_connection_string(account.connection_string, retry_total=1) as blobs,
    ):
        storage = Storage(tables, blobs)
        for release_id in IDS:
            storage.world.release_all(release_id, CIRCUIT, build=release_id[4:8])
            storage.world.sweep()
            storage.world.clock.forward(DAY)
        assert storage.world.releases.active_release_ids() == []
        yield storage


def test_rows_go_after_400_days_and_evidence_after_seven_years(storage: Storage) -> None:
    """Of what is neither live nor was before it; ledger and index say so, and nothing else is left behind."""
    world, ports = storage.world, storage.world.ports
    assert storage.partitions("releases") == set(IDS)
    world.clock.forward(390 * DAY)
    assert Retention(ports, KEEP).run().rows == 0

    world.clock.forward(15 * DAY)
    removed = Retention(ports, KEEP).run()
    assert storage.partitions("releases") == {SECOND, THIRD}
    assert (removed.releases, removed.ledger_rows, removed.blobs) == (1, 2, 0)
    assert storage.folders() == set(IDS)
    assert len(storage.row_keys("endpoints", "d|")) == 2 * 2
    assert len(storage.row_keys("endpoints", "e|")) == 2
    assert len(storage.row_keys("index", "CIRCUIT01|")) == len(storage.row_keys("index", "!|")) == 2
    listed, _ = listed_releases(Wanted(), ports, limit=9)
    assert [row.release_id for row in listed if row.rows_gone] == [FIRST]
    bundle, digest = read_bundle(FIRST, "", ports)
    assert digest == hashlib.sha256(bundle).hexdigest() == listed[-1].evidence_sha256
    before = circuit_view(CIRCUIT, None, ports).times[-1]
    assert (before.entry.release_id, before.entry.previous) == (SECOND, "deployment-20251210-1")
    assert Retention(ports, KEEP).run().rows == 0

    world.clock.forward(2557 * DAY)
    removed = Retention(ports, KEEP).run()
    assert storage.folders() == {SECOND, THIRD}
    assert removed.bundles == 1
    assert len(listed_releases(Wanted(), ports, limit=9)[0]) == 2
    assert Retention(ports, KEEP).run().blobs == 0
