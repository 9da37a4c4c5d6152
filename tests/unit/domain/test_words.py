"""Unit: what people write stays their words, in one line, wherever it is shown."""

import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shared.domain.words import clean

FORGED = (
    "ok\n\n📋 Deployed Circuits:\r\n - FORGED\u2028Next: open http://evil.example \x1b[31m\u202egnp.exe\x07\x85\x0b\x00"
)


def test_line_breaks_escapes_and_overrides_become_spaces() -> None:
    """The words stay readable, the shape is gone."""
    assert clean(FORGED) == "ok 📋 Deployed Circuits: - FORGED Next: open http://evil.example [31m gnp.exe"


@pytest.mark.parametrize(
    "text", ["sensor is being replaced", "Größe prüfen", "预测错误", "خطأ في التنبؤ", "naïve 👍🏽"]
)
def test_ordinary_words_of_any_language_stay_as_they_are(text: str) -> None:
    assert clean(text) == text


@given(st.text(st.characters(), max_size=200))
def test_whatever_is_written_becomes_one_printable_line(text: str) -> None:
    """No line, no control, no format character; what could be read before can be read after, in its order."""
    cleaned = clean(text)
    assert cleaned == clean(cleaned)
    assert cleaned.splitlines() in ([], [cleaned])
    assert not {"Cc", "Cf", "Cs", "Zl", "Zp"} & {unicodedata.category(char) for char in cleaned}
    assert cleaned.replace(" ", "") == "".join(char for char in text if char.isprintable() and char != " ")
