"""Pages: one circuit of a gate's evidence as what people read, made once for the card and for the line of a table."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

from shared.application.metrics import MetricChange, compare_metrics
from shared.pages.formats import count, duration, web_address

type Facts = Mapping[str, object]

BY_PLACE = ", by the number of columns and their types; names could not be compared, the output has no header"


@dataclass(frozen=True, slots=True, kw_only=True)
class Fact:
    """A line about a circuit."""

    name: str
    text: str
    url: str = ""
    """Where it can be looked at; https only."""
    good: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class CircuitEntry:
    """One circuit of a gate's evidence, ready for the page."""

    name: str
    facts: Facts
    attention: Sequence[str]
    metrics: Sequence[MetricChange]
    details: Sequence[Fact]
    left_out: str


def circuit_entries(evidence: Facts) -> Sequence[CircuitEntry]:
    """In the order of the evidence; what is no circuit is not one."""
    circuits = evidence.get("circuits")
    return [_entry(one) for one in circuits if isinstance(one, Mapping)] if isinstance(circuits, list) else []


def _entry(circuit: Facts) -> CircuitEntry:
    return CircuitEntry(
        name=f"{circuit.get('plant_id', '?')}/{circuit.get('circuit_id', '?')}",
        facts=circuit,
        attention=_lines(circuit.get("attention")),
        metrics=compare_metrics(table(circuit.get("model")).get("metrics"), table(circuit.get("live")).get("metrics")),
        details=[fact for fact in _details(circuit) if fact.text],
        left_out=str(circuit.get("left_out") or ""),
    )


def table(value: object) -> Facts:
    """Evidence is JSON from elsewhere: where a table is expected, something else reads as an empty one."""
    return value if isinstance(value, Mapping) else {}


def _lines(value: object) -> Sequence[str]:
    return [str(line) for line in value] if isinstance(value, list) else []


def _text(value: object) -> str:
    return "" if value is None else str(value)


def _details(circuit: Facts) -> Iterator[Fact]:
    """Everything beyond the comparison with what is live, what weighs most first."""
    model = table(circuit.get("model"))
    yield from _smoke(circuit)
    yield from _beside(table(circuit.get("side_by_side")))
    yield Fact(name="Expected output", text=_text(table(circuit.get("expected")).get("told")))
    yield from _schema(table(circuit.get("schema")))
    yield Fact(name="Rolls back to", text=_way_back(circuit))
    validated = _text(model.get("validated"))
    yield Fact(name="Tag validated", text=validated or "not recorded", good=validated == "true")
    warnings = circuit.get("training_warnings")
    told = count(len(warnings), "warning") if isinstance(warnings, list) else "not available"
    yield Fact(name="Training log", text=told)
    yield Fact(name="Training data", text=_text(model.get("data_asset") or circuit.get("data_asset")))
    yield Fact(name="Test job", text=_text(table(circuit.get("smoke")).get("job_name") or circuit.get("job_name")))
    yield Fact(name="Change", text=_text(circuit.get("change_type")))
    yield Fact(name="Model", text=_text(circuit.get("model_name")))
    yield Fact(name="Endpoint", text=_text(circuit.get("endpoint")))


def _smoke(circuit: Facts) -> Iterator[Fact]:
    smoke = table(circuit.get("smoke"))
    if not smoke:
        return
    status = _text(smoke.get("status")) or "unknown"
    rows, running = smoke.get("rows"), smoke.get("running_seconds")
    text = f"{status} in {duration(smoke.get('seconds')) or 'unknown time'}"
    text += f", {count(rows, 'row')}" if isinstance(rows, int) else ""
    if isinstance(running, int | float):
        text += f" ({duration(smoke.get('queued_seconds')) or '0 s'} queued, {duration(running)} running)"
    yield Fact(name="Smoke test", text=text, url=web_address(smoke.get("studio_url")), good=status == "Completed")
    for line in _lines(smoke.get("allowed_log_lines")):
        yield Fact(name="Log line allowed", text=line)


def _beside(beside: Facts) -> Iterator[Fact]:
    if not beside:
        return
    text = _text(beside.get("absent"))
    if not text:
        text = f"{beside.get('deployment')}: {beside.get('told')}"
        text += ", unchanged although the model changed" if beside.get("unchanged") else ""
    yield Fact(name="Beside the live model", text=text)


def _schema(schema: Facts) -> Iterator[Fact]:
    if not schema:
        return
    if any(schema.get(finding) for finding in ("missing", "extra", "changed")):
        yield Fact(name="Schema", text="differs, see above")
    elif schema.get("source") == "":
        yield Fact(name="Schema", text="nothing says what to expect")
    else:
        source = _text(schema.get("source")) or "training"
        yield Fact(name="Schema", text=f"as in {source}{BY_PLACE if schema.get('by_place') else ''}", good=True)


def _way_back(circuit: Facts) -> str:
    live = table(circuit.get("live"))
    back = _text(live.get("deployment") or circuit.get("live_deployment"))
    return back or "nothing: the first release of a circuit has no way back"
