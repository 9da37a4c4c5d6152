"""The door: an artifact becomes exactly one release, or is refused where people see it. Nothing is lost here."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import timedelta
from enum import StrEnum

from shared.application.manifest import parse_manifest
from shared.application.plans import planned_release
from shared.application.ports import ARTIFACT_NAME, ActiveRelease, Ports
from shared.application.refusal_mail import RefusalMail
from shared.domain.commands import ReadArtifact
from shared.domain.errors import ConflictError, InvalidManifest, PipelineError
from shared.domain.model import HistoryEntry, Release, ReleasePhase
from shared.domain.naming import RELEASE_ID
from shared.domain.plan import Manifest
from shared.domain.process import fan_out
from shared.domain.words import clean
from shared.telemetry import log

INTERRUPTED_FOR = timedelta(hours=1)
"""Longer than any request lives."""
EMPTY_WAIT = timedelta(seconds=60)
"""R57: an upload in parts is first seen empty."""


class Arrival(StrEnum):
    """What became of an artifact."""

    STARTED = "started"
    KNOWN = "known"
    """The same id with the same content: nothing new."""
    CONFLICT = "conflict"
    """The same id with other content: refused, the first stays."""
    INVALID = "invalid"
    EMPTY = "empty"


@dataclass(frozen=True, slots=True, kw_only=True)
class Intaken:
    arrival: Arrival
    release_id: str = ""
    message: str = ""


def is_artifact(path: str) -> bool:
    """R1: the name alone decides."""
    return path.rpartition("/")[2] == ARTIFACT_NAME


@dataclass(frozen=True, slots=True)
class Intake:
    ports: Ports

    def from_artifact(
        self, path: str, content: bytes, *, metadata: Mapping[str, str] | None = None, last_look: bool = False
    ) -> Intaken:
        """An uploaded blob. An empty one is read again after a minute; one that can't be used is recorded and told."""
        if not content.strip() and not last_look:
            log.warning("artifact is empty, will be read again", action="artifact_empty", path=path)
            self.ports.bus.send((ReadArtifact(path=path, delay=EMPTY_WAIT),))
            return Intaken(arrival=Arrival.EMPTY)
        taken = self._take(content, path, metadata or {})
        if taken.arrival in {Arrival.INVALID, Arrival.CONFLICT}:
            self._record_refusal(taken, path, content)
        return taken

    def read_again(self, path: str) -> Intaken:
        """The second look at a blob that was empty; gone meanwhile counts as empty."""
        content = self.ports.evidence.artifact(path) or b""
        return self.from_artifact(path, content, metadata=self._metadata(path), last_look=True)

    def from_request(self, content: bytes, *, signed_in: str = "") -> Intaken:
        """A release started by hand, by whom sign-in says. The caller is told of a refusal, so nothing is recorded."""
        return self._take(content, "", {}, signed_in)

    def scan(self, window: timedelta) -> Sequence[Intaken]:
        """R57: start what lies in the container and has no release; what is known changes nothing.

        Raises:
            PipelineError: one of them could not be looked at; the others were.
        """
        since = self.ports.clock.now() - window
        looks: list[Intaken] = []
        refused: list[PipelineError] = []
        for path in self.ports.evidence.artifact_paths(since):
            try:
                looks += self._look_at(path)
            except PipelineError as error:
                log.error("artifact not looked at", action="artifact_unread", path=path, error=error)
                refused.append(error)
        if refused:
            raise refused[0]
        return looks

    def _look_at(self, path: str) -> Sequence[Intaken]:
        content = self.ports.evidence.artifact(path)
        if content is None:
            return ()
        return (self.from_artifact(path, content, metadata=self._metadata(path)),)

    def _metadata(self, path: str) -> Mapping[str, str]:
        return self.ports.evidence.artifact_metadata(path)

    def complete(self, release_id: str) -> None:
        """Finish an intake that was interrupted after its `active` row was written.

        Rollbacks and refusals keep nothing there to go on from: their callers were answered with an error, or the
        blob is found again. They are taken off the list once no caller can still be at work.
        """
        active = self.ports.releases.intake(release_id)
        if active is not None and not RELEASE_ID.fullmatch(release_id):
            if active.listed_at < self.ports.clock.now() - INTERRUPTED_FOR:
                log.warning("interrupted start given up", action="start_given_up", release_id=release_id)
                self.ports.releases.forget(release_id)
            return
        if active is not None and active.gen > 1:
            # A retry that came too late: what it would have resumed has been removed.
            self.ports.releases.forget(release_id)
            return
        if active is not None:
            self._complete(active)

    def _complete(self, active: ActiveRelease) -> None:
        content = self.ports.evidence.get(active.manifest_blob)
        if content is None:
            self._give_up(active, b"", f"the stored copy of its artifact, {active.manifest_blob}, is gone")
            return
        known = {"release_id": active.release_id, "build_id": active.build_id}
        try:
            manifest = parse_manifest(content, path=active.artifact_path, metadata=known)
            self._start(manifest, content, active.artifact_path, active.signed_in)
        except InvalidManifest as error:
            self._give_up(active, content, str(error))
            return
        log.warning("interrupted intake completed", action="intake_completed", release_id=active.release_id)

    def _give_up(self, active: ActiveRelease, content: bytes, why: str) -> None:
        """It can't be completed any more: refused like an artifact, where people see it, and off the list."""
        log.error(
            "interrupted intake can't be completed", action="manifest_gone", release_id=active.release_id, why=why
        )
        if active.listed_at >= self.ports.clock.now() - INTERRUPTED_FOR:
            return
        message = f"release {active.release_id} was not started: {why}. Upload its artifact again"
        refused = Intaken(arrival=Arrival.INVALID, message=message)
        self._record_refusal(refused, active.artifact_path or active.release_id, content)
        self.ports.releases.forget(active.release_id)

    def _take(self, content: bytes, path: str, metadata: Mapping[str, str], signed_in: str = "") -> Intaken:
        try:
            manifest = parse_manifest(content, path=path, metadata=metadata)
            return self._start(manifest, content, path, signed_in)
        except InvalidManifest as error:
            log.warning("artifact refused", action="artifact_refused", path=path, error=error)
            return Intaken(arrival=Arrival.INVALID, message=str(error))

    def _start(self, manifest: Manifest, content: bytes, path: str, signed_in: str) -> Intaken:
        release, _ = planned_release(manifest, content, path, self.ports, signed_in=signed_in)
        existing = self.ports.releases.release(release.release_id)
        if existing is not None and existing.row.manifest_sha256 == release.manifest_sha256:
            return Intaken(arrival=Arrival.KNOWN, release_id=release.release_id)
        try:
            self.ports.evidence.put(release.manifest_blob, content)
            self.ports.releases.begin(release)
        except ConflictError:
            return _conflict(release.release_id)
        log.info("release started", action="release_started", release_id=release.release_id, circuits=release.total)
        if release.is_terminal:
            self.ports.releases.finish(release)
        else:
            self.ports.bus.send((fan_out(release),))
        return Intaken(arrival=Arrival.STARTED, release_id=release.release_id)

    def _record_refusal(self, taken: Intaken, path: str, content: bytes) -> None:
        """An `invalid` row of its own: it never claims the id, and the same blob again is not told again."""
        digest = hashlib.sha256(path.encode() + b"\0" + content).hexdigest()
        now = self.ports.clock.now()
        row = Release(
            release_id=f"invalid-{digest[:16]}",
            build_id="unknown",
            phase=ReleasePhase.INVALID,
            seq=int(f"{now:%Y%m%d}000000"),
            total=0,
            manifest_sha256=digest,
            manifest_blob=f"invalid/{digest}.json",
            policy=self.ports.policy,
            created_at=now,
            ended_at=now,
            reason=f"{clean(path)}: {taken.message}",
            artifact_path=clean(path),
            hist=(HistoryEntry(at=now, source="", target=ReleasePhase.INVALID, why=taken.message),),
        )
        mail = RefusalMail(self.ports)
        known = self.ports.releases.release(row.release_id)
        if known is not None:
            mail.tell_if_interrupted(known.row)
            return
        self.ports.evidence.put(row.manifest_blob, content)
        planned = mail.claim(row)
        self.ports.releases.begin(row)
        mail.tell(row, planned)


def _conflict(release_id: str) -> Intaken:
    message = (
        f"release {release_id} already exists with other content; the first stays. "
        "Upload the new content under a release_id of its own (releases/{release_id}/{build_id}/changed_circuits.json)"
    )
    return Intaken(arrival=Arrival.CONFLICT, release_id=release_id, message=message)
