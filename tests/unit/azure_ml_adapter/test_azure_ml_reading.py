"""A job's files are read to their end, whatever their lines are like; what is too much is a finding, not a silence."""

from collections.abc import Iterator, Mapping
from typing import cast

import pytest

from shared.adapters.azure_ml.blobs import PIECES_OVERLAP, BlobFolder, StoredFile, numbered_lines
from shared.adapters.azure_ml.logs import ERROR_LINE, USER_OUTPUT, LogSearch, Reading

LONGEST = 1024
MEBIBYTE = 1024 * 1024


class Folder:
    """Files in memory, read in small chunks; what was read is remembered."""

    def __init__(self, files: Mapping[str, bytes]) -> None:
        self._files = files
        self.read: list[str] = []

    def files(self) -> tuple[StoredFile, ...]:
        return tuple(StoredFile(path=path, size=len(text), md5="", etag="") for path, text in self._files.items())

    def lines(self, path: str) -> Iterator[tuple[int, str]]:
        self.read.append(path)
        return numbered_lines(chunks(self._files[path], 100), longest=LONGEST)


def chunks(content: bytes, size: int) -> list[bytes]:
    return [content[start : start + size] for start in range(0, len(content), size)]


def searched(folder: Folder, reading: Reading) -> list[tuple[str, int]]:
    search = LogSearch(cast("BlobFolder", folder), reading)
    return [(line.file, line.line) for line in search.lines(search.files(USER_OUTPUT), ERROR_LINE)]


def stdout(number: int) -> str:
    return f"logs/user/stdout/node{number}/process000.stdout.txt"


@pytest.mark.parametrize("size", [1, 7, 100, 5000])
def test_lines_keep_their_numbers_however_they_arrive(size: int) -> None:
    """Windows line ends, empty lines, a last line without an end."""
    content = b"one\r\n\nthree\nfour"
    assert list(numbered_lines(chunks(content, size), longest=LONGEST)) == [(1, "one"), (3, "three"), (4, "four")]


@pytest.mark.parametrize("at", [0, 900, LONGEST - 8, LONGEST, 5 * LONGEST - 3, 9000])
@pytest.mark.parametrize("end", [b"", b"\nnext"])
def test_no_part_of_a_long_line_is_lost(at: int, end: bytes) -> None:
    """R27: what stands at a cut stands whole in a piece; all pieces have the line's number."""
    line = b"." * at + b" ERROR disk is full " + b"." * (9000 - at)
    pieces = list(numbered_lines(chunks(line + end, 4000), longest=LONGEST))
    assert any("ERROR disk is full" in text for _, text in pieces)
    assert all(len(text) <= LONGEST for _, text in pieces)
    assert {number for number, text in pieces if text != "next"} == {1}
    assert sum(len(text) for _, text in pieces) <= 10_000 + len(pieces) * PIECES_OVERLAP


def test_what_a_progress_bar_has_written_over_is_read() -> None:
    """R27: an error between two states of the bar."""
    bar = b"10%|=   |\rERROR disk is full\r20%|==  |\n"
    assert (1, "ERROR disk is full") in list(numbered_lines([bar], longest=LONGEST))


def test_all_files_of_a_job_are_searched() -> None:
    """R27: an error in the last of a thousand."""
    files = {stdout(number): b"INFO fine\n" for number in range(1000)} | {stdout(1000): b"INFO fine\nERROR no disk\n"}
    reading = Reading()
    assert searched(Folder(files), reading) == [(stdout(1000), 2)]
    assert reading.unread() == ()


def test_files_beyond_the_limit_are_a_finding() -> None:
    """R27: nobody may pass on logs that nobody read; said are how many, how large, which one, and what to do."""
    folder = Folder({stdout(number): b"INFO fine\n" for number in range(5)})
    reading = Reading(files=3)
    assert searched(folder, reading) == []
    assert folder.read == [stdout(0), stdout(1), stdout(2)]
    (said,) = reading.unread()
    assert said == (
        f"2 of the job's files were not read (20 bytes, first {stdout(3)}), errors may stand there: "
        "at most 3 files and 256 MiB are read, let the model write less"
    )


def test_a_file_that_is_too_large_is_a_finding_and_the_others_are_read() -> None:
    """R27: the limit holds for all folders of a job together."""
    reading = Reading(mebibytes=1)
    large = Folder({stdout(0): b"x" * (MEBIBYTE + 1), stdout(1): b"ERROR no disk\n"})
    assert searched(large, reading) == [(stdout(1), 1)]
    assert searched(Folder({stdout(2): b"y" * MEBIBYTE}), reading) == []
    assert reading.unread()[0].startswith(f"2 of the job's files were not read ({2 * MEBIBYTE + 1} bytes, first ")
