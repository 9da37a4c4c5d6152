"""Adapter table_store: what the service allows in keys and filters."""

import re

FORBIDDEN = re.compile(r"[/\\#?%=\x00-\x1f\x7f-\x9f]")
"""Documented: `/ \\ # ?` and control characters are refused; `%` upsets some clients; `=` is our own escape."""


def key(text: str) -> str:
    """Any text as a legal key, the ordinary ones unchanged; different texts give different keys."""
    return FORBIDDEN.sub(lambda match: f"={ord(match[0]):02x}", text)


def literal(value: str) -> str:
    """A string in a filter."""
    return "'" + value.replace("'", "''") + "'"


def prefixed(prefix: str, column: str = "RowKey") -> str:
    """Filter: keys that start with `prefix`, which must end in `|` (`}` follows it in the code table)."""
    return f"{column} ge {literal(prefix)} and {column} lt {literal(prefix[:-1] + '}')}"


def in_partition(partition: str, *conditions: str) -> str:
    """Filter: rows of one partition that meet all conditions."""
    return " and ".join((f"PartitionKey eq {literal(key(partition))}", *conditions))


def any_of(column: str, values: list[str]) -> str:
    """Filter: the column holds one of the values."""
    return "(" + " or ".join(f"{column} eq {literal(value)}" for value in values) + ")"
