"""Unit: the document's validation table, row by row (R25-R29), and how predictions and signatures are read."""

from datetime import UTC, datetime, timedelta

import pytest

from shared.domain.log_lines import LogFindings, LogLine, sifted
from shared.domain.predictions import read_predictions, scan_content
from shared.domain.signature import Column, output_columns
from shared.domain.smoke_verdict import (
    JobOutput,
    JobVerdict,
    OutputVerdict,
    SchemaDifference,
    compare_schema,
    judge_job,
    judge_output,
)

START = datetime(2025, 12, 10, 9, 0, tzinfo=UTC)
LIMIT = START + timedelta(minutes=15)
GOOD = b"row,prediction,file\n0,1.5,test_input.csv\n1,2.5,test_input.csv\n2,3.5,test_input.csv\n"
MLMODEL = b"""artifact_path: model
flavors:
  python_function:
    loader_module: mlflow.sklearn
signature:
  inputs: '[{"type": "double", "name": "flow", "required": true}, {"type": "double",
    "name": "temperature", "required": true}]'
  outputs: '[{"type": "double", "name": "prediction", "required": true}]'
  params: null
utc_time_created: '2025-11-02 10:00:00.000000'
"""


def judged_job(status: str, *, ended: timedelta | None, looked: timedelta) -> JobVerdict:
    return judge_job(
        status=status,
        terminal=status in {"Completed", "Failed", "Canceled"},
        ended_at=None if ended is None else START + ended,
        now=START + looked,
        limit=LIMIT,
    )


def judged(
    predictions: bytes | None = GOOD,
    *,
    errors: tuple[LogLine, ...] = (),
    unread: tuple[str, ...] = (),
    mlmodel: bytes | None = None,
) -> OutputVerdict:
    output = JobOutput(
        logs=sifted(errors, ()),
        predictions=predictions,
        predictions_size=len(predictions or b""),
        rows=scan_content(predictions or b""),
        unread=unread,
    )
    return judge_output(output, output_columns(mlmodel) if mlmodel else None)


def an_error(line: int, text: str) -> LogLine:
    return LogLine(file="logs/user/error.txt", line=line, text=text)


# ---------------------------------------------------------------------------------------- status and time

ALMOST, FULL = timedelta(minutes=14, seconds=59), timedelta(minutes=15)


@pytest.mark.parametrize(
    ("status", "ended", "looked", "verdict"),
    [
        ("Completed", ALMOST, ALMOST, JobVerdict.COMPLETED),
        ("Completed", ALMOST, FULL, JobVerdict.COMPLETED),
        ("Completed", timedelta(minutes=3), timedelta(minutes=20), JobVerdict.COMPLETED),
        ("Completed", FULL, FULL, JobVerdict.TIMED_OUT),
        ("Completed", None, FULL, JobVerdict.TIMED_OUT),
        ("Completed", None, ALMOST, JobVerdict.COMPLETED),
        ("Running", None, ALMOST, JobVerdict.RUNNING),
        ("Running", None, FULL, JobVerdict.TIMED_OUT),
        ("Queued", None, FULL, JobVerdict.TIMED_OUT),
        ("NotResponding", None, ALMOST, JobVerdict.RUNNING),
        ("Paused", None, ALMOST, JobVerdict.RUNNING),
        ("CancelRequested", None, FULL, JobVerdict.TIMED_OUT),
        ("Finalizing", None, ALMOST, JobVerdict.RUNNING),
        ("Failed", ALMOST, ALMOST, JobVerdict.ENDED_BADLY),
        ("Canceled", ALMOST, ALMOST, JobVerdict.ENDED_BADLY),
        ("Canceled", FULL, FULL, JobVerdict.TIMED_OUT),
    ],
)
def test_a_job_is_judged_by_its_own_end_and_only_then_by_the_clock(
    status: str, ended: timedelta | None, looked: timedelta, verdict: JobVerdict
) -> None:
    """R25, R26, D8: 14:59 passes and 15:00 does not; Completed at minute 3 passes although looked at in minute 20."""
    assert judged_job(status, ended=ended, looked=looked) is verdict


# ------------------------------------------------------------------------------------------------ output


def test_good_output_passes_without_a_warning() -> None:
    """The green case of the table."""
    verdict = judged(mlmodel=MLMODEL)

    assert verdict == OutputVerdict(table=read_predictions(GOOD), rows=3)
    assert verdict.rows == 3


def test_any_error_in_the_logs_fails_and_is_quoted_with_file_and_line() -> None:
    """R27, even though the output is good."""
    verdict = judged(errors=(an_error(3, "ValueError: no column flow"),))

    assert verdict.failures == ("1 error in the logs: logs/user/error.txt:3: ValueError: no column flow",)


def test_many_errors_are_counted_and_the_first_ones_quoted() -> None:
    """A failure's message stays readable."""
    verdict = judged(errors=tuple(an_error(n, f"bad {n}") for n in range(1, 901)))

    assert verdict.failures[0].startswith("900 errors in the logs: logs/user/error.txt:1: bad 1 | ")
    assert verdict.failures[0].endswith("(and 895 more)")


def test_what_nobody_has_read_fails() -> None:
    """R27, R28: errors and rows that failed may stand there, however good the rest looks."""
    verdict = judged(unread=("3 of the job's files were not read",))

    assert verdict.failures == ("3 of the job's files were not read",)


@pytest.mark.parametrize(
    ("predictions", "said"),
    [
        (None, "no predictions.csv"),
        (b"", "holds no rows"),
        (b"\n\n", "holds no rows"),
        (b"row,prediction,file\n", "holds no rows"),
    ],
)
def test_missing_or_empty_output_fails(predictions: bytes | None, said: str) -> None:
    """R28."""
    verdict = judged(predictions)

    assert len(verdict.failures) == 1
    assert said in verdict.failures[0]


@pytest.mark.parametrize(
    "predictions",
    [
        b"row,prediction,status\n0,1.5,succeeded\n1,,failed\n",
        b"row,prediction,status\n0,1.5,Succeeded\n1,,FAILED\n",
        b"0,1.5,test_input.csv\n1,status=failed,test_input.csv\n",
        b"['test_input.csv', 1.5]\n['test_input.csv', 'failed']\n",
        b"row,prediction\n0,1.5\n1,\"{'status': 'failed'}\"\n",
        b"0,1.5,succeeded,test_input.csv\n1,2.5,failed,test_input.csv\n",
        b"0,1.5,test_input.csv\n1,failed,test_input.csv\n",
    ],
)
def test_a_completed_job_with_failed_rows_fails(predictions: bytes) -> None:
    """Known failure 8, in each form the file may have."""
    verdict = judged(predictions)

    assert verdict.failures == ("1 of 2 rows in predictions.csv has status failed (row 2)",)


@pytest.mark.parametrize(
    "predictions",
    [
        b"0,ok,test_input.csv\n1,failed,test_input.csv\n",
        b"0,failed,test_input.csv\n1,failed,test_input.csv\n",
        b"['test_input.csv', 'failed']\n['test_input.csv', 'ok']\n",
        b"row,prediction,status\n0,failed,succeeded\n1,ok,succeeded\n",
    ],
)
def test_a_class_that_is_called_failed_is_a_prediction_and_no_status(predictions: bytes) -> None:
    """R28: a column named status says how a row went, or a word beside or in place of a number."""
    assert judged(predictions).failures == ()


def test_all_failures_are_told_at_once() -> None:
    """Whoever investigates sees the whole picture."""
    verdict = judged(b"row,status\n0,failed\n", errors=(an_error(1, "bad"),))

    assert len(verdict.failures) == 2


LONG = GOOD + b"".join(b"%d,1.%d,test_input.csv\n" % (n, n) for n in range(3, 1000))
BEGINNING = len(GOOD) + len(b"3,1")


def judged_beginning(content: bytes) -> OutputVerdict:
    """The whole file was looked at row by row, its beginning is at hand."""
    output = JobOutput(
        logs=LogFindings(),
        predictions=content[:BEGINNING],
        predictions_size=len(content),
        rows=scan_content(content),
    )
    return judge_output(output, None)


def test_of_a_long_file_the_beginning_is_compared_and_that_is_said() -> None:
    """No row is invented from a line that breaks off; how many there are is known all the same."""
    verdict = judged_beginning(LONG)

    assert (verdict.rows, verdict.failures) == (1000, ())
    assert verdict.warnings == ("schema and values of the first 3 of 1000 rows of predictions.csv were looked at",)


def test_a_row_that_failed_far_behind_in_a_long_file_fails() -> None:
    """R28, known failure 8: all rows are asked."""
    verdict = judged_beginning(LONG + b"1000,status=failed,test_input.csv\n")

    assert verdict.failures == ("1 of 1001 rows in predictions.csv has status failed (row 1001)",)


# ---------------------------------------------------------------------------------------------- warnings


@pytest.mark.parametrize("hole", [b"nan", b"NaN", b"", b"inf", b"None"])
def test_predictions_that_are_none_only_warn(hole: bytes) -> None:
    """A person decides at gate 2."""
    verdict = judged(b"row,prediction\n0,1.5\n1," + hole + b"\n")

    assert verdict.failures == ()
    assert verdict.warnings == ("column prediction: 1 of 2 values are empty, NaN or infinite",)


def test_constant_predictions_warn() -> None:
    """A model that answers the same to everything deserves a look."""
    verdict = judged(b"row,prediction\n0,4.2\n1,4.2\n2,4.2\n")

    assert verdict.warnings == ("column prediction: all 3 values are equal (4.2)",)


def test_two_equal_predictions_are_no_reason_to_warn() -> None:
    """They may be chance."""
    assert judged(b"row,prediction\n0,4.2\n1,4.2\n").warnings == ()


# ------------------------------------------------------------------------------------------------ schema


def test_a_schema_mismatch_never_fails() -> None:
    """R29: shown at gate 2."""
    verdict = judged(b"row,prediction\n0,high\n1,low\n", mlmodel=MLMODEL)

    assert verdict.failures == ()
    assert verdict.schema.changed == ("prediction: double expected, string found",)


def test_missing_extra_and_changed_columns_are_told_apart() -> None:
    """By name, where the file names its columns."""
    expected = (Column(name="flow", type="double"), Column(name="alarms", type="long"), Column(name="p", type="double"))
    table = read_predictions(b"row,flow,alarms,humidity,file\n0,1.5,0.5,3,test_input.csv\n")

    assert compare_schema(expected, table) == SchemaDifference(
        missing=("p",), extra=("humidity",), changed=("alarms: long expected, double found",)
    )


def test_a_lone_output_may_have_any_name() -> None:
    """The batch driver names it, whatever the signature says."""
    table = read_predictions(b"row,prediction,file\n0,1.5,test_input.csv\n")

    assert compare_schema([Column(name="heat", type="double")], table) == SchemaDifference()


def test_without_a_header_columns_are_compared_by_place() -> None:
    """The service writes files without one, too."""
    table = read_predictions(b"0,1.5,low,test_input.csv\n1,2.5,high,test_input.csv\n")

    assert compare_schema([Column(name="a", type="double"), Column(name="b", type="long")], table).changed == (
        "b: long expected, string found",
    )
    assert compare_schema([Column(name="a", type="double")] * 3, table).changed == (
        "2 columns instead of 3; the output has no header, so the names could not be compared",
    )


def test_that_only_places_could_be_compared_is_part_of_the_evidence() -> None:
    """R29: equal in number and type is less than equal by name, and the approver is told which it was."""
    expected = [Column(name="a", type="double"), Column(name="b", type="double")]
    unnamed = compare_schema(expected, read_predictions(b"0,1.5,2.5,test_input.csv\n"))
    named = compare_schema(expected, read_predictions(b"row,a,b\n0,1.5,2.5\n"))

    assert unnamed.as_json() == {"missing": [], "extra": [], "changed": [], "by_place": True}
    assert named.as_json() == {"missing": [], "extra": [], "changed": []}


@pytest.mark.parametrize(
    ("kind", "value", "changed"),
    [
        ("double", b"3", False),
        ("float64", b"3.5", False),
        ("long", b"3.0", False),
        ("integer", b"3.5", True),
        ("float", b"low", True),
        ("string", b"3", False),
        ("boolean", b"True", False),
    ],
)
def test_a_type_has_changed_only_if_the_values_can_not_be_of_it(kind: str, value: bytes, *, changed: bool) -> None:
    """Text says little of types: no false alarms."""
    table = read_predictions(b"row,prediction\n0," + value + b"\n")

    assert bool(compare_schema([Column(name="", type=kind)], table).changed) is changed


# ------------------------------------------------------------------------------------------------ parsing


def test_a_signature_is_read_from_an_mlmodel_file() -> None:
    """JSON inside YAML, quoted, folded over lines."""
    folded = MLMODEL.replace(b"outputs:", b"extra:").replace(b"  inputs:", b"  outputs:")

    assert output_columns(MLMODEL) == (Column(name="prediction", type="double"),)
    assert output_columns(folded) == (Column(name="flow", type="double"), Column(name="temperature", type="double"))


def test_a_tensor_output_has_a_type_and_no_name() -> None:
    """What scikit-learn models return."""
    text = b'signature:\n  outputs: \'[{"type": "tensor", "tensor-spec": {"dtype": "float64", "shape": [-1]}}]\'\n'

    assert output_columns(text) == (Column(name="", type="float64"),)


@pytest.mark.parametrize(
    "mlmodel",
    [
        b"",
        b"artifact_path: model\n",
        b"signature:\n  inputs: '[]'\n  outputs: null\n",
        b"signature:\n  outputs: '[broken'\n",
        b"signature:\n  outputs: '{}'\n",
        b"signature:\n  inputs: '[]'\nother:\n  outputs: '[{\"type\": \"double\"}]'\n",
        b"\xff\xfe",
    ],
)
def test_a_model_without_a_readable_signature_has_no_schema(mlmodel: bytes) -> None:
    """Nothing to compare is no mismatch."""
    assert output_columns(mlmodel) is None
    assert judged(mlmodel=mlmodel).schema == SchemaDifference()


def test_a_double_quoted_signature_is_read_too() -> None:
    """YAML writers choose either quote."""
    assert output_columns(b'signature:\n  outputs: "[{\\"type\\": \\"long\\", \\"name\\": \\"n\\"}]"\n') == (
        Column(name="n", type="long"),
    )


@pytest.mark.parametrize(
    ("content", "values"),
    [
        (b"row,prediction,file\n0,1.5,test_input.csv\n", ("1.5",)),
        (b"\xef\xbb\xbfrow,prediction\r\n0,1.5\r\n", ("1.5",)),
        (b"0,1.5,test_input.csv\n", ("1.5",)),
        (b"test_input.csv,1.5\n", ("1.5",)),
        (b"test_input.csv 1.5\n", ("1.5",)),
        (b"['test_input.csv', 1.5]\n", ("1.5",)),
        (b"['test_input.csv', nan]\n", ("nan",)),
        (b"1.5\n2.5\n", ("1.5", "2.5")),
    ],
)
def test_predictions_are_found_in_every_form_the_service_writes(content: bytes, values: tuple[str, ...]) -> None:
    """With a header or not, commas or blanks, or one Python list per line."""
    assert [column for _, column in read_predictions(content).outputs()] == [values]
