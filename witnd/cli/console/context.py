"""What commands share: their configuration, the Redis they talk to, how failure ends them."""

import asyncio
import os
import socket
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, TypeVar

import click
from msgspec import Struct
from redis.asyncio import Redis

from witnd.cli.console.author import author
from witnd.cli.console.failure import end
from witnd.cli.console.output import as_json, table
from witnd.clock import Clock
from witnd.config import Config, load
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.endpoint import Endpoint, endpoint
from witnd.store.access.change_log import Changes
from witnd.store.catalogue.versions import CatalogueStore
from witnd.store.errors import StoreUnavailable
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.log.retry_request import RetryRequests
from witnd.store.meta import Meta, open_meta, read_meta
from witnd.store.server.connection import connect
from witnd.store.server.embedded import URL_FILE
from witnd.store.server.safety import check_kind

__all__ = [
    "Session",
    "as_json",
    "config_option",
    "json_option",
    "load_catalogue",
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
    """Adds `--config FILE`, which reaches the command as `config_path: Path | None`."""
    return click.option(
        "--config",
        "config_path",
        type=click.Path(path_type=Path, dir_okay=False),
        help="Configuration file; else WITND_CONFIG, ./witnd.toml, /etc/witnd/witnd.toml.",
    )(command)


def json_option(command: Command) -> Command:
    """Adds `--json`, which reaches the command as `json_output: bool`."""
    return click.option("--json", "json_output", is_flag=True, help="Print JSON for machines.")(command)


class Session(Struct, frozen=True, kw_only=True):
    """A checked configuration and the Redis it names. `meta` is None where no daemon ever ran."""

    config: Config
    server: Endpoint
    redis: Redis
    global_keys: GlobalKeys
    meta: Meta | None

    @property
    def partitions(self) -> int:
        return self.config.redis.partitions

    def keys(self, partition: int) -> Keys:
        return Keys(self.config.redis.prefix, partition)

    async def note_request(self, what: str, key: str, **details: object) -> None:
        """Log a change in the slot of a partition, before it is made."""
        if self.meta is None:
            # Without this record, the log of changes alone would be taken for remains of lost data.
            await open_meta(self.redis, self.global_keys, self.partitions)
        await Changes(self.redis, self.global_keys).note_request(author(), what, key, **details)

    def retry_requests(self) -> RetryRequests:
        return RetryRequests(self.redis, self.global_keys, Clock().now_ms())


@asynccontextmanager
async def session(config_path: Path | None, environ: Mapping[str, str] = os.environ) -> AsyncIterator[Session]:
    """Opens what a command needs; refuses early where Redis or the configuration does not fit."""
    config = load(config_path, environ)
    where = server(config, environ)
    keys = GlobalKeys(config.redis.prefix)
    async with connect(where) as client:
        try:
            await check_kind(client)
        except StoreUnavailable as silent:
            other = "write redis:// if it does not use TLS" if where.tls else "write rediss:// if it uses TLS"
            raise StoreUnavailable(
                f"Redis at {where} does not answer ({silent.__cause__}); start it, or name another one in redis.url"
                + ("" if where.path else f"; {other}")
            ) from silent
        meta = await read_meta(client, keys, config.redis.partitions)
        yield Session(config=config, server=where, redis=client, global_keys=keys, meta=meta)


def server(config: Config, environ: Mapping[str, str] = os.environ) -> Endpoint:
    """The Redis that `redis.url` names; without one, that of a daemon running `--embedded` here.

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
    """Runs the command's coroutine; what goes wrong ends the process with its documented code."""
    try:
        return asyncio.run(main)
    except KeyboardInterrupt:
        raise click.exceptions.Exit(INTERRUPTED) from None
    except Exception as error:  # noqa: BLE001 - end() raises again what it does not know
        end(error)


async def load_catalogue(opened: Session) -> Catalogue:
    """Load every version of the catalogue."""
    catalogue = Catalogue()
    await CatalogueStore(opened.redis, opened.global_keys, opened.partitions).load(catalogue)
    return catalogue
