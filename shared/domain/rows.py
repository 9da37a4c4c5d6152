"""Where rows live: the row keys of one release's partition."""

from typing import assert_never

from shared.domain.model import Circuit, CircuitRun, Gate, GateName, Notice, Release

RELEASE_KEY = "!release"


def run_key(circuit: Circuit) -> str:
    return f"c|{circuit.plant_id}|{circuit.circuit_id}"


def lock_key(circuit: Circuit) -> str:
    """Where a circuit's lock stands among those of its environment."""
    return f"{circuit.plant_id}|{circuit.circuit_id}"


def gate_key(gate: GateName) -> str:
    return f"g|{gate}"


def notice_key(notice: Notice) -> str:
    """`n|{moment}[:{subject}]|{channel}|{recipient}`: one message per moment, subject, channel and person."""
    about = f"{notice.moment}:{notice.subject}" if notice.subject else str(notice.moment)
    return f"n|{about}|{notice.channel}|{notice.recipient}"


def row_key(row: Release | CircuitRun | Gate | Notice) -> str:
    match row:
        case Release():
            return RELEASE_KEY
        case CircuitRun():
            return run_key(row.circuit)
        case Gate():
            return gate_key(row.gate)
        case Notice():
            return notice_key(row)
        case _:
            assert_never(row)
