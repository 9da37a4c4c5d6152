"""The local stack's command line: `python -m local up|down|status|check|demo`."""

import argparse
import sys

from local.demo.main import INTERRUPTED, look_around, run_demo
from local.demo.options import BadOptionError, add_flags, options_from
from local.stack.approvals import approvals_asked
from local.stack.control import StackError, at_running_ports, down, running_stack, up
from local.stack.files import read_json
from local.stack.places import Places, places_from_environment
from local.stack.ports import is_locked, taken_ports_message


def main(argv: list[str] | None = None) -> int:
    """Run one command; its exit code."""
    parser = argparse.ArgumentParser(prog="python -m local", description=__doc__)
    commands = parser.add_subparsers(dest="command", required=True)
    commands.add_parser("up", help="start the stack in the background")
    commands.add_parser("down", help="stop it")
    commands.add_parser("status", help="say what runs")
    commands.add_parser("check", help="say whether its ports are free")
    add_flags(commands.add_parser("demo", help="run one release through it"))
    args = parser.parse_args(argv)
    asked = places_from_environment()
    places = at_running_ports(asked)
    try:
        match args.command:
            case "up":
                _say_other_ports(places, asked)
                return _up(places)
            case "down":
                return _down(places)
            case "status":
                return _status(places)
            case "check":
                return _check(places)
            case _:
                _say_other_ports(places, asked)
                return run_demo(places, options_from(args))
    except (StackError, BadOptionError) as error:
        print(error, file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("\nInterrupted.", file=sys.stderr)
        return INTERRUPTED


def _say_other_ports(places: Places, asked: Places) -> None:
    """A stack that is up stays where it is, whatever STACK_PORT_BASE says now."""
    if places.ports != asked.ports:
        ports, wanted = places.ports.all(), asked.ports.all()
        print(
            f"The stack in {places.dir} is up on the ports {ports[0]}-{ports[-1]}, not {wanted[0]}-{wanted[-1]}: "
            "to move it, make down first.",
            flush=True,
        )


def _up(places: Places) -> int:
    stack = up(places, lambda line: print(line, flush=True), approvals=approvals_asked())
    print(f"The stack is up; its addresses are in {places.stack_json}\n{look_around(stack)}")
    return 0


def _down(places: Places) -> int:
    print("The stack is down: no process and no port is left." if down(places) else "The stack was not up.")
    return 0


def _status(places: Places) -> int:
    stack = running_stack(places)
    for name, part in (read_json(places.status) or {}).get("parts", {}).items():
        print(f"  {name:<12} {part['state']:<10} process {part['pid']}, restarted {part['restarts']} times")
    print(look_around(stack) if stack else f"The stack in {places.dir} is not up.")
    return 0 if stack else 1


def _check(places: Places) -> int:
    problem = None if is_locked(places.lock) else taken_ports_message(places.ports.base)
    print(problem or "The stack's ports are free, or its own.")
    return 1 if problem else 0


if __name__ == "__main__":
    sys.exit(main())
