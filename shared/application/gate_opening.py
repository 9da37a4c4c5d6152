"""Opening and voiding gates: the evidence is frozen first, then the gate row joins the release's transaction."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

from shared.application.evidence import gate_evidence
from shared.application.gate_texts import who_must_approve
from shared.application.ports import Change, Insert, Ports, Update
from shared.domain.errors import ConflictError, IllegalTransition
from shared.domain.events import GateOpened, GateVoided
from shared.domain.model import LONG_AGO, Gate, GateName, GateState, HistoryEntry, Release
from shared.domain.process import decide_gate


def evidence_path(release_id: str, gate: GateName, digest: str) -> str:
    return f"{release_id}/{gate}/{digest}.json"


def gate_nonce(release: Release, gate: GateName, sending: int = 0) -> str:
    """Fresh per opening (a re-opened gate has a newer gen) and sending; it need not be secret, tokens are signed."""
    again = f"|{sending}" if sending else ""
    return hashlib.sha256(f"{release.release_id}|{gate}|{release.gen}{again}".encode()).hexdigest()[:24]


def open_change(release: Release, gate: GateName, ports: Ports) -> Change:
    """Freeze the evidence as a blob and give the gate row that belongs into the release's transaction."""
    runs = tuple(stored.row for stored in ports.releases.runs(release.release_id))
    document = gate_evidence(gate, release, runs, ports.estate)
    digest = hashlib.sha256(document).hexdigest()
    path = evidence_path(release.release_id, gate, digest)
    ports.evidence.put(path, document)
    at, rule = release.hist[-1].at, who_must_approve(release)
    why = f"evidence {digest}" + (f". {rule}" if rule else "")
    row = Gate(
        release_id=release.release_id,
        gate=gate,
        state=GateState.OPEN,
        nonce=gate_nonce(release, gate),
        opened_at=at,
        expires_at=at + release.policy.gate_limit,
        digest=digest,
        evidence_blob=path,
        frozen_at=at,
        gen=release.gen,
        # A gate that is asked again shows facts of the try before until its evidence is refreshed.
        refreshed_at=at if release.gen == 1 else LONG_AGO,
        hist=(HistoryEntry(at=at, source="", target=GateState.OPEN, why=why),),
    )
    found = ports.releases.release_and_gate(release.release_id, gate)
    stored = None if found is None else found[1]
    if stored is None:
        return Insert(row=row)
    try:
        again = decide_gate(stored.row, GateOpened(at=at, why=why))
    except IllegalTransition as reason:
        # Somebody was quicker, and the release's row has moved on with it: to be read again.
        raise ConflictError(f"release {release.release_id}: {reason}") from reason
    earlier = (*stored.row.earlier_digests, stored.row.digest)
    reopened = replace(row, earlier_digests=earlier, decisions=stored.row.decisions, hist=again.hist)
    return Update(row=reopened, etag=stored.etag)


def void_change(release: Release, gate: GateName, ports: Ports) -> Sequence[Change]:
    """Nobody needs to answer any more."""
    found = ports.releases.release_and_gate(release.release_id, gate)
    if found is None or found[1] is None or found[1].row.state is not GateState.OPEN:
        return ()
    row = decide_gate(found[1].row, GateVoided(at=release.hist[-1].at, why=release.reason))
    return (Update(row=row, etag=found[1].etag),)
