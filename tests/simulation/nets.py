"""What heals, and can be taken away: each net hides holes of the other."""

from enum import StrEnum


class Nets(StrEnum):
    """Which safety nets are up."""

    ALL = "all"
    NO_SWEEPER = "no-sweeper"
    NO_REDELIVERY = "no-redelivery"
