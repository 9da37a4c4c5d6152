"""Synthetic readings of a district-heating circuit: the same for the same circuit, different between circuits."""

import zlib
from datetime import date, timedelta

import numpy as np
import pandas as pd

MODES = ("day", "night", "flush")
TARGET = "return_temperature_c"


def readings(circuit: str, *, until: date, days: int) -> pd.DataFrame:
    """Hourly readings that end the day before `until`: what was measured, and the temperature to predict."""
    chance = np.random.default_rng(zlib.crc32(f"{circuit} {until}".encode()))
    hours = pd.date_range(until - timedelta(days=days), periods=24 * days, freq="h")
    hour = np.asarray(hours.hour)
    mode = np.where((hour >= 6) & (hour < 22), "day", "night").astype(object)
    mode[(hour == 3) & (np.asarray(hours.day_of_week) == 6)] = "flush"
    outdoor = 6 + 5 * np.sin(2 * np.pi * (hour - 9) / 24) + chance.normal(0, 1.5, len(hours))
    supply = 78 - 0.9 * outdoor + chance.normal(0, 0.8, len(hours))
    flow = (
        42
        - 1.1 * outdoor
        + np.select([mode == "night", mode == "flush"], [-9, 25], 0)
        + chance.normal(0, 1, len(hours))
    )
    level = zlib.crc32(circuit.encode()) % 7
    target = 0.55 * supply - 0.12 * flow + np.where(mode == "flush", 4, 0) + level + chance.normal(0, 0.4, len(hours))
    return pd.DataFrame(
        {
            "supply_temperature_c": supply.round(2),
            "outdoor_temperature_c": outdoor.round(2),
            "flow_m3_h": flow.round(2),
            "operating_mode": mode.astype(str),
            TARGET: target.round(2),
        }
    )


def smoke_input(circuit: str, *, until: date) -> pd.DataFrame:
    """The last seven days without the target: what a smoke test scores."""
    return readings(circuit, until=until, days=7).drop(columns=TARGET)
