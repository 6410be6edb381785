"""Where the relay listens: told in time when it can't, and found again."""

import errno
import resource
import socket
from contextlib import ExitStack

import pytest

from app.errors import AddressUnusable
from app.listening import MOST_OPEN_FILES, advice, allow_many_connections, bound_sockets, own_address


def test_a_socket_is_bound_and_does_not_listen_yet() -> None:
    """Whoever connects before the relay is ready is refused, and not left waiting."""
    [bound] = bound_sockets("127.0.0.1", 0)
    with bound, pytest.raises(ConnectionRefusedError):
        socket.create_connection(bound.getsockname(), timeout=5)


def test_a_name_may_stand_for_several_addresses() -> None:
    """`localhost` is two on most machines."""
    with ExitStack() as stack:
        names = {stack.enter_context(bound).getsockname()[0] for bound in bound_sockets("localhost", 0)}
    assert "127.0.0.1" in names
    assert names <= {"127.0.0.1", "::1"}


def test_a_process_may_hold_as_many_files_as_the_system_grants() -> None:
    """1,024 are usual, and too few for slow senders beside good ones."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    granted = MOST_OPEN_FILES if hard == resource.RLIM_INFINITY else min(MOST_OPEN_FILES, hard)
    resource.setrlimit(resource.RLIMIT_NOFILE, (256, hard))
    try:
        allow_many_connections()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (granted, hard)
        allow_many_connections()
        assert resource.getrlimit(resource.RLIMIT_NOFILE) == (granted, hard)
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


@pytest.mark.parametrize("host", ["0.0.0.0", ""])
def test_every_address_is_reached_by_this_machine(host: str) -> None:
    with ExitStack() as stack:
        for bound in bound_sockets(host, 0):
            stack.enter_context(bound).listen()
            if bound.family == socket.AF_INET:
                socket.create_connection((own_address(host), bound.getsockname()[1]), timeout=5).close()


@pytest.mark.parametrize(
    ("host", "address"),
    [("0.0.0.0", "127.0.0.1"), ("::", "::1"), ("", "127.0.0.1"), ("10.1.2.3", "10.1.2.3"), ("localhost", "localhost")],
)
def test_a_health_check_asks_the_address_that_host_names(host: str, address: str) -> None:
    assert own_address(host) == address


def test_a_taken_port_names_the_setting() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with pytest.raises(AddressUnusable, match=f"listens on port {port} of 127.0.0.1 already: .* set PORT"):
            bound_sockets("127.0.0.1", port)


@pytest.mark.parametrize("host", ["192.0.2.1", "not a host"])
def test_an_address_of_another_machine_names_the_setting(host: str) -> None:
    with pytest.raises(AddressUnusable, match=f"{host} is no address of this machine: set HOST"):
        bound_sockets(host, 0)


@pytest.mark.parametrize(
    ("number", "said"),
    [(errno.EACCES, "set PORT (or --port) to one above 1023"), (errno.EAFNOSUPPORT, "cannot listen")],
)
def test_other_reasons_are_told_too(number: int, said: str) -> None:
    """A port below 1024, for instance, which not every system forbids."""
    assert said in advice("0.0.0.0", 80, OSError(number, "reason"))
