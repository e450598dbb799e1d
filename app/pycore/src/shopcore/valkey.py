"""Valkey: one client, short time-outs, and an outage as one kind of problem."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis.asyncio import BlockingConnectionPool, Redis
from redis.asyncio.retry import Retry
from redis.backoff import ConstantBackoff
from redis.exceptions import ConnectionError as ValkeyConnectionError
from redis.exceptions import RedisError, ResponseError
from redis.exceptions import TimeoutError as ValkeyTimeoutError

from shopcore.problems import dependency_unavailable


def make_valkey(url: str, *, timeout_s: float) -> Redis:
    """Return a client; it connects when it is first used."""
    return Redis(
        connection_pool=BlockingConnectionPool.from_url(
            url,
            max_connections=32,
            timeout=timeout_s,
            socket_timeout=timeout_s,
            socket_connect_timeout=timeout_s,
            decode_responses=True,
            # One retry: it replaces a connection that died while it was idle in the pool.
            retry=Retry(ConstantBackoff(0.02), 1),
            retry_on_error=[ValkeyConnectionError],
        )
    )


@contextmanager
def valkey_faults(dependency: str) -> Iterator[None]:
    """Turn an outage inside the block into the 503 problem that names `dependency`."""
    try:
        yield
    except (ValkeyConnectionError, ValkeyTimeoutError, OSError) as error:
        raise dependency_unavailable(dependency) from error
    except ResponseError as error:
        if str(error).startswith(("LOADING", "BUSY", "OOM", "READONLY", "MISCONF")):
            raise dependency_unavailable(dependency) from error
        raise
    except RedisError as error:
        raise dependency_unavailable(dependency) from error
