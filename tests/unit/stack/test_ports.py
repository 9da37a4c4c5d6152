"""Ports of a stack and the one line that says what is wrong with them."""

import socket

from local.stack.ports import BASES, COUNT, Ports, free_base, taken, taken_ports_message


def test_every_part_has_a_port_of_its_own() -> None:
    """Two parts never share a port, and all lie in the range that is checked before the start."""
    ports = Ports(base=20000)
    named = [getattr(ports, name) for name, value in vars(Ports).items() if isinstance(value, property)]
    assert len(named) == len(set(named)) == COUNT
    assert set(named) == set(ports.all())


def test_a_taken_port_is_named_with_the_remedy_in_one_line() -> None:
    """The message names the port and the variable that moves the stack elsewhere."""
    base = free_base()
    with socket.socket() as holder:
        holder.bind(("127.0.0.1", base + 3))
        holder.listen()
        assert taken(base) == [base + 3]
        message = taken_ports_message(base)
    assert message is not None
    assert f"port {base + 3}." in message
    assert "STACK_PORT_BASE=" in message
    assert "\n" not in message


def test_free_ports_need_no_message() -> None:
    """Nothing is said while nothing is wrong."""
    assert taken_ports_message(free_base()) is None


def test_a_base_beyond_the_last_port_is_refused() -> None:
    """The highest base still has room for every port."""
    assert BASES[-1] + COUNT - 1 == 65535
    assert "no base" in (taken_ports_message(65530) or "")
