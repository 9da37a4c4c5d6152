"""Unit: one person is one person, however their name is written; two people never are."""

import string

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shared.domain.people import is_address, person_key, same_person

PLAIN = st.text(string.ascii_lowercase + string.digits + "._-", min_size=1, max_size=12)
ADDRESSES = st.builds("{}@{}.org".format, PLAIN, PLAIN)
SPACES = st.text(" \t\n\u00a0\u200b", max_size=3)


@st.composite
def spellings(draw: st.DrawFn, address: str) -> str:
    """The address as people, mail programs, browsers and people with something to hide write it."""
    text = draw(st.sampled_from((str.upper, str.lower, str.title, str)))(address)
    local, _, host = text.partition("@")
    text = f"{local}{draw(SPACES)}@{draw(SPACES)}{host}"
    text = draw(st.sampled_from(("", "mailto:", "MailTo: "))) + text
    text = draw(st.sampled_from(("{}", "<{}>", "Ada Lovelace <{}>", '"Lovelace, Ada" < {} >'))).format(text)
    return f"{draw(SPACES)}{text}{draw(SPACES)}"


@given(data=st.data(), address=ADDRESSES)
def test_every_spelling_of_an_address_is_the_same_person(data: st.DataObject, address: str) -> None:
    """Case, white space, what can't be seen, mailto, a display name."""
    spelled = data.draw(spellings(address))
    assert person_key(spelled) == address
    assert same_person(spelled, address)
    assert is_address(spelled)


@given(data=st.data(), one=ADDRESSES, other=ADDRESSES)
def test_two_addresses_are_two_people_however_they_are_written(data: st.DataObject, one: str, other: str) -> None:
    """Being generous with spelling makes nobody somebody else."""
    assert same_person(data.draw(spellings(one)), data.draw(spellings(other))) == (one == other)


@given(name=st.one_of(st.text(max_size=40), ADDRESSES.flatmap(spellings)))
@example('mailto:"mailto: <ada@example.org> ?subject=x> "')
def test_a_key_is_its_own_key(name: str) -> None:
    """Whatever the text: what is stored and what is asked for compare alike."""
    assert person_key(person_key(name)) == person_key(name)


@pytest.mark.parametrize("nobody", ["", "  ", "\u200b", "<>", "mailto:"])
def test_blanks_are_nobody_and_not_one_person(nobody: str) -> None:
    """Two who gave no name have nothing in common."""
    assert not same_person(nobody, nobody)
    assert not is_address(nobody)


@pytest.mark.parametrize(
    "name", ["build pipeline", "build of main", "Ada Lovelace", "@", "ada@", "@example.org", "a@b@c"]
)
def test_what_is_no_address_belongs_to_nobody(name: str) -> None:
    """It can't be compared with who decides."""
    assert not is_address(name)
