"""Take the address that the relay listens on, before anything else starts; and find it again for a health check."""

import errno
import resource
import socket
from collections.abc import Iterator
from contextlib import ExitStack, suppress

from app.errors import AddressUnusable

MOST_OPEN_FILES = 65_536  # of which each connection is one
_EVERY_ADDRESS = {"0.0.0.0": "127.0.0.1", "::": "::1", "": "127.0.0.1"}  # noqa: S104  # read here, not bound


def bound_sockets(host: str, port: int) -> list[socket.socket]:
    """Return a socket for each address that `host` names; none listens yet, so nobody waits for an answer.

    Raises:
        AddressUnusable: the port is taken or forbidden, or the address is none of this machine.
    """
    with ExitStack() as undo:
        try:
            found = socket.getaddrinfo(host or None, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
            sockets = [undo.enter_context(_bound(family, address)) for family, _, _, _, address in dict.fromkeys(found)]
        except OSError as problem:
            raise AddressUnusable(advice(host, port, problem)) from problem
        undo.pop_all()
    return sockets


def taken_from(listening: socket.socket) -> Iterator[socket.socket]:
    """Take the connections that the system has let in and nobody has taken yet; the socket must not block."""
    while True:
        try:
            connection, _ = listening.accept()
        except OSError:  # nobody waits any more, nor could anybody be let in
            return
        connection.setblocking(False)
        yield connection


def allow_many_connections() -> None:
    """Let this process hold as many files open as the system grants it when asked.

    Shells and services are given 1,024 for the sake of old programs, and slow senders alone may take as many.
    """
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = MOST_OPEN_FILES if hard == resource.RLIM_INFINITY else min(MOST_OPEN_FILES, hard)
    if soft != resource.RLIM_INFINITY and soft < wanted:
        with suppress(ValueError, OSError):  # a system that grants less than it says
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))


def own_address(host: str) -> str:
    """Return an address at which this machine reaches a relay that listens on `host`."""
    return _EVERY_ADDRESS.get(host, host)


def _bound(family: int, address: tuple[object, ...]) -> socket.socket:
    made = socket.socket(family, socket.SOCK_STREAM)
    try:
        made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # or a restart would wait a minute for the port
        if family == socket.AF_INET6:  # :: alone is every address, of IPv4 too
            made.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, address[0] != "::")
        made.bind(address)
    except BaseException:
        made.close()
        raise
    return made


def advice(host: str, port: int, problem: OSError) -> str:
    """Return what to do when an address cannot be taken."""
    place = f"port {port} of {host or 'this machine'}"
    match problem:
        case OSError(errno=errno.EADDRINUSE):
            return f"Another program listens on {place} already: stop it, or set PORT (or --port) to a free one."
        case OSError(errno=errno.EACCES):
            return f"The system does not let this user listen on {place}: set PORT (or --port) to one above 1023."
        case socket.gaierror() | OSError(errno=errno.EADDRNOTAVAIL):
            return f"{host} is no address of this machine: set HOST (or --host) to one that is; 0.0.0.0 means all."
    return f"The relay cannot listen on {place} ({problem.strerror}): set HOST and PORT to an address of this machine."
