"""The settings that the stack gives to the app are settings the app knows."""

from pathlib import Path

from local.stack.keys import stack_secrets
from local.stack.parts import describe
from local.stack.places import Places
from local.stack.ports import Ports
from local.stack.settings import SHORTER_WAITS, local_values
from shared.config import Settings

READ_BY_THE_HOST = {"AzureWebJobsStorage"}


def known_names() -> set[str]:
    """Every name under which the app reads a setting."""
    names: set[str] = set()
    for field, info in Settings.model_fields.items():
        alias = info.validation_alias
        names.update([alias] if isinstance(alias, str) else getattr(alias, "choices", [field.upper()]))
    return names


def test_every_local_setting_is_one_that_the_app_reads(tmp_path: Path) -> None:
    """A renamed setting must not be left behind here, where nobody would notice."""
    places = Places(dir=tmp_path, ports=Ports(base=20000))
    values = local_values(places, describe(places), stack_secrets(places)) | dict(SHORTER_WAITS)
    assert set(values) - READ_BY_THE_HOST <= known_names()


def test_keys_are_made_once_and_hidden_from_others(tmp_path: Path) -> None:
    """A second start finds the keys that its state was made with."""
    places = Places(dir=tmp_path, ports=Ports(base=20000))
    assert stack_secrets(places) == stack_secrets(places)
    assert places.secrets.stat().st_mode & 0o077 == 0
