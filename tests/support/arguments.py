"""Numbers on a command line that must be some."""

from argparse import ArgumentTypeError


def at_least_one(text: str) -> int:
    """A count; of nothing at all nothing can be shown.

    Raises:
        ArgumentTypeError: it is less, or no whole number; argparse says so and ends with 2.
    """
    try:
        count = int(text)
    except ValueError:
        raise ArgumentTypeError(f"{text!r} is no whole number") from None
    if count < 1:
        raise ArgumentTypeError(f"{count} is too few, at least 1 is needed")
    return count
