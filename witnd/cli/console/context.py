"""Shared parts of commands: configuration, connection to Redis, and failure."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from msgspec import Struct
from redis.asyncio import Redis

from witnd.app.services import Services, services_without_daemon
from witnd.cli.console.author import author
from witnd.cli.console.failure import end
from witnd.cli.console.output import as_json, table
from witnd.clock import Clock
from witnd.config import Config, load
from witnd.endpoint import Endpoint, endpoint
from witnd.store.errors import StoreUnavailable
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.log.retry_request import RetryRequests
from witnd.store.meta import Meta, read_meta
from witnd.store.server.embedded import URL_FILE
from witnd.store.server.routing.client import connect
from witnd.store.server.routing.health import primaries
from witnd.store.server.safety import check_kind

__all__ = [
    "Session",
    "as_json",
    "config_option",
    "json_option",
    "run",
    "server",
    "session",
    "table",
]

Command = TypeVar("Command", bound=Callable[..., Any])
Result = TypeVar("Result")
PROBE_SECONDS = 2.0
INTERRUPTED = 130  # what shells expect of a command that was stopped by Ctrl-C


def config_option(command: Command) -> Command:
    """Add `--config FILE`, which reaches the command as `config_path: Path | None`."""
    return click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Configuration file; default: WITND_CONFIG, ./witnd.toml or /etc/witnd/witnd.toml.",
    )(command)


def json_option(command: Command) -> Command:
    """Add `--json`, which reaches the command as `json_output: bool`."""
    return click.option("--json", "json_output", is_flag=True, help="Print JSON.")(command)


class Session(Struct, frozen=True, kw_only=True):
    """A checked configuration and the Redis it names. `meta` is None where no daemon ever ran.

    `services` are for the use cases of `witnd.app`.
    """

    config: Config
    server: Endpoint
    redis: Redis
    global_keys: GlobalKeys
    meta: Meta | None
    services: Services

    @property
    def partitions(self) -> int:
        return self.config.redis.partitions

    def chosen(self, partition: int | None) -> Sequence[Keys]:
        """Return all partitions, or only the given one."""
        return self.services.chosen(partition)

    def keys(self, partition: int) -> Keys:
        return Keys(self.config.redis.prefix, partition)

    async def note_request(self, what: str, key: str, **details: object) -> None:
        """Log a change in the slot of a partition, before it is made."""
        await self.services.changes.note_request(author(), what, key, **details)

    def retry_requests(self) -> RetryRequests:
        return RetryRequests(self.redis, self.global_keys, Clock().now_ms())


@asynccontextmanager
async def session(config_path: Path | None, environ: Mapping[str, str] = os.environ) -> AsyncIterator[Session]:
    """Open what a command needs. Refuse early if Redis or the configuration is unsuitable."""
    config = load(config_path, environ)
    where = server(config, environ)
    keys = GlobalKeys(config.redis.prefix)
    async with connect(where) as client:
        try:
            if where.mode != "single":
                await primaries(where, config.redis.prefix, config.redis.partitions)  # raises errors of the address
            await check_kind(client, where.mode)
        except StoreUnavailable as silent:
            other = "use redis:// if it does not use TLS" if where.tls else "use rediss:// if it uses TLS"
            raise StoreUnavailable(
                f"Redis at {where} does not answer ({silent.__cause__ or silent}); start it, or correct redis.url"
                + ("" if where.path else f"; {other}")
            ) from silent
        meta = await read_meta(client, keys, config.redis.partitions)
        services = services_without_daemon(config, where, client, meta)
        yield Session(config=config, server=where, redis=client, global_keys=keys, meta=meta, services=services)


def server(config: Config, environ: Mapping[str, str] = os.environ) -> Endpoint:
    """Return the Redis of `redis.url`, or the embedded server of a daemon running here if the setting is missing.

    `<state_dir>/embedded.url` names it while it runs; a file that a killed daemon left behind is
    known by its socket, which does not answer.
    """
    if not config.url_explicit:
        try:
            url = (config.daemon.state_dir / URL_FILE).read_text().strip()
        except OSError:
            url = ""
        if url and _listens(private := endpoint(url)):
            return private
    return config.redis.endpoint(environ)


def _listens(private: Endpoint) -> bool:
    with socket.socket(socket.AF_UNIX) as probe:
        probe.settimeout(PROBE_SECONDS)
        try:
            probe.connect(private.path or "")
        except OSError:
            return False
    return True


def run(main: Coroutine[Any, Any, Result]) -> Result:
    """Run the command's coroutine. An expected error ends the process with its documented exit code."""
    try:
        return asyncio.run(main)
    except KeyboardInterrupt:
        raise click.exceptions.Exit(INTERRUPTED) from None
    except Exception as error:  # noqa: BLE001 - end() raises again what it does not know
        end(error)
