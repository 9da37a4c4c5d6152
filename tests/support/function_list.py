"""The app's functions as text, one line each: `python -m tests.support.function_list > tests/architecture/functions.txt`."""

from enum import Enum
from functools import cache
from typing import Any

import function_app

SHOWN = ("authLevel", "methods", "route", "queueName", "schedule", "path", "source", "connection")


@cache
def functions() -> list[tuple[str, dict[str, Any]]]:
    """Each function's name and its trigger; an app tells them only once."""
    found = []
    for function in function_app.app.get_functions():
        bindings = [binding.get_dict_repr() for binding in function.get_bindings()]
        (trigger,) = [binding for binding in bindings if binding["type"].lower().endswith("trigger")]
        assert len(bindings) == 1 or trigger["type"].lower() == "httptrigger", "no output binding: they set no ids"
        found.append((str(function.get_function_name()), trigger))
    return sorted(found, key=lambda one: (one[1]["type"], one[0]))


def listing() -> str:
    """All of them; a changed line is a changed interface."""
    return "".join(f"{_line(name, trigger)}\n" for name, trigger in functions())


def routes() -> dict[str, set[str]]:
    """HTTP functions by path, as OpenAPI writes it, with their methods in lower case."""
    found: dict[str, set[str]] = {}
    for _, trigger in functions():
        if trigger["type"].lower() == "httptrigger":
            methods = {str(_plain(method)).lower() for method in trigger["methods"]}
            found.setdefault(f"/{trigger['route'].lstrip('/')}", set()).update(methods)
    return found


def _line(name: str, trigger: dict[str, Any]) -> str:
    told = [f"{key}={_plain(trigger[key])}" for key in SHOWN if key in trigger]
    return " ".join([f"{trigger['type']:<18}", f"{name:<24}", *told])


def _plain(value: object) -> object:
    if isinstance(value, Enum):
        return value.value
    return ",".join(str(_plain(one)) for one in value) if isinstance(value, list | tuple) else value


if __name__ == "__main__":
    print(listing(), end="")
