"""People's words in requests: cleaned before their length is judged."""

from typing import Annotated

from pydantic import BeforeValidator, StringConstraints

from shared.domain.words import clean


def _cleaned(value: object) -> object:
    return clean(value) if isinstance(value, str) else value


Words = Annotated[str, BeforeValidator(_cleaned)]
Reason = Annotated[Words, StringConstraints(min_length=1, max_length=500)]
Name = Annotated[Words, StringConstraints(max_length=200)]
