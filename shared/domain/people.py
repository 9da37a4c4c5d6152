"""People by the names that they, builds and sign-in give them."""

import re
import unicodedata

_IN_BRACKETS = re.compile(r"<([^<>]*)>$")
"""`Ada Lovelace <ada@example.org>`, as mail programs write it."""
_AROUND = re.compile(r"^(?:mailto:|[ <>\"'])+|[ <>\"']+$")
_INVISIBLE = frozenset({"Cc", "Cf"})


def person_key(name: str) -> str:
    """What all spellings of one name have in common: case, white space, `mailto:` and a display name do not count."""
    seen = "".join(c for c in name if c.isspace() or unicodedata.category(c) not in _INVISIBLE)
    folded = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", seen).casefold())
    text = " ".join(folded.split())
    if found := _IN_BRACKETS.search(text):
        text = found[1]
    key = _AROUND.sub("", text.partition("?")[0])
    return key.replace(" ", "") if "@" in key else key


def same_person(one: str, other: str) -> bool:
    """Two blanks are nobody, not one person."""
    key = person_key(one)
    return bool(key) and key == person_key(other)


def is_address(name: str) -> bool:
    """A mail address or a sign-in name belongs to one person; `build pipeline` to nobody."""
    local, _, host = person_key(name).partition("@")
    return bool(local) and bool(host) and "@" not in host
