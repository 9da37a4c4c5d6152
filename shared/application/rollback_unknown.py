"""Use cases: circuits that were asked for by a name nobody knows; the right one is named if only its case is wrong."""

from collections.abc import Collection, Sequence

from shared.application.ports import Ports
from shared.domain.errors import RequestRefused
from shared.domain.model import Circuit, Environment

MOST_NAMED = 20


def refuse_unknown(
    asked: Sequence[Circuit], known: Collection[Circuit], environment: Environment, ports: Ports
) -> None:
    """RequestRefused: 404, some of what was asked for has never been in our hands."""
    unknown = [circuit for circuit in asked if circuit not in known]
    if not unknown:
        return
    alike = {_folded(circuit): circuit for circuit in ports.endpoints.circuits(environment)}
    told = [_told(circuit, alike.get(_folded(circuit))) for circuit in unknown[:MOST_NAMED]]
    hidden = len(unknown) - len(told)
    more = f" and {hidden} more" if hidden > 0 else ""
    detail = (
        f"{', '.join(told)}{more}: the pipeline has never made anything live there in {environment}. "
        "Ids are written as in the artifact. Nothing was changed."
    )
    raise RequestRefused(404, "Unknown circuit", detail)


def _told(circuit: Circuit, alike: Circuit | None) -> str:
    return f"{circuit} (did you mean {alike}?)" if alike else str(circuit)


def _folded(circuit: Circuit) -> str:
    return str(circuit).casefold()
