"""A connection to PostgreSQL that gives up on a server which says nothing.

The server's own limits end what it works on. They do not help where it is not heard any more: a network that drops
packets, or a proxy or firewall that has forgotten the connection, ends nothing, and the kernel believes in it for a
quarter of an hour.
"""

import asyncio
from collections.abc import Awaitable, Callable
from datetime import timedelta
from typing import Any, TypeVar

from psycopg import AsyncConnection, OperationalError, waiting
from psycopg.abc import PQGen
from psycopg.pq import TransactionStatus

KEEPALIVES = {"keepalives_idle": 10, "keepalives_interval": 3, "keepalives_count": 3, "tcp_user_timeout": 10_000}
_MORE_THAN_THE_SERVER = timedelta(seconds=1)
_LOOK_EVERY = 0.1  # seconds, as the driver has it
_Value = TypeVar("_Value")


class PatientConnection(AsyncConnection[Any]):
    """One whose each exchange with the server is bounded, in seconds: by `patience`, None for what takes its time.

    `ping` is for the look before it is used again; when that fails, the pool drops all that are as old.

    Where the bound is reached, or the task is cancelled, it is closed without a word: the driver's own way is to ask
    the server to cancel, and to wait ten seconds for that. What ran there is rolled back, unless it was a COMMIT.
    """

    patience: float | None = None
    ping: float | None = None

    async def wait(self, gen: PQGen[_Value], *_options: Any, **_more: Any) -> _Value:
        patience = self.ping if self.autocommit else self.patience  # all but the ping is in a transaction
        try:
            async with asyncio.timeout(patience):
                return await waiting.wait_async(gen, self.pgconn.socket, interval=_LOOK_EVERY)
        except TimeoutError:
            self.pgconn.finish()
            raise OperationalError(f"PostgreSQL said nothing for {patience:g} s") from None
        except asyncio.CancelledError:
            if self.pgconn.transaction_status == TransactionStatus.ACTIVE:
                self.pgconn.finish()
            raise


def connector(lock_wait: timedelta, statement_limit: timedelta | None) -> Callable[..., Awaitable[PatientConnection]]:
    """Return what opens connections that wait a little longer than the server lets anything take."""

    async def connect(*args: Any, **options: Any) -> PatientConnection:
        connection = await PatientConnection.connect(*args, **options)
        connection.ping = (lock_wait + _MORE_THAN_THE_SERVER).total_seconds()
        if statement_limit:
            connection.patience = (statement_limit + _MORE_THAN_THE_SERVER).total_seconds()
        return connection

    return connect
