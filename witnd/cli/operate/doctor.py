"""`witnd doctor`: check everything that witnd depends on, and report problems with remedies."""

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import click
from msgspec import Struct
from msgspec.structs import replace
from redis.asyncio import Redis
from redis.exceptions import RedisError

from witnd.cli.console.context import as_json, config_option, json_option, run, server, table
from witnd.config import Config, ConfigError, load
from witnd.doctor.check import STATES, Check, Group, State, count, note, ok, problem
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.domain.values.mistake import Mistake
from witnd.endpoint import Endpoint
from witnd.exit_codes import REDIS, USAGE
from witnd.store.catalogue.versions import CatalogueStore
from witnd.store.errors import LostData, StoreRefused, StoreUnavailable, Unsafe
from witnd.store.keys import GlobalKeys
from witnd.store.server.connection import redis_errors
from witnd.store.server.routing.client import connect

# Reading more versions than this takes seconds: what is in them is not looked at.
VERSIONS: Final = 50_000
# Whatever hangs: a check-up that does not end helps nobody.
SECONDS: Final = 20.0
# What one remedy is for: beyond this many, the table above tells.
OF: Final = 3
_LOCAL: Final = ("localhost", "127.0.0.1", "::1")


class Report(Struct, frozen=True, kw_only=True):
    """The output of `--json`. `state` is the worst state of all checks."""

    state: State
    exit_code: int
    counts: dict[State, int]
    checks: list[Check]


@click.command()
@json_option
@config_option
def doctor(json_output: bool, config_path: Path | None) -> None:
    """Check Redis, clocks, stored data, the daemon and its systemd unit.

    Each check is ok, a note (may be intended), a warning (needs attention) or a problem (the daemon does not
    start, stops, or accepts no events). Each finding has a remedy. The command only reads and needs no daemon.
    Run it before the first start, and when something is wrong.

    Exit codes: 0 no problem, 2 a problem in the configuration, 3 Redis cannot be used or is not safe to bill
    from. Notes and warnings do not change the exit code.

    \b
    JSON: {"state", "exit_code", "counts": {state: n}, "checks": [{"group": "redis" | "clock" |
      "data" | "daemon" | "unit", "name", "state": "ok" | "note" | "warning" | "problem", "found",
      "remedy" or null, "exit_code"}…]}

    \b
    Examples:
      witnd doctor
      WITND_REDIS__PASSWORD_FILE=/etc/witnd/redis-password witnd doctor --config /etc/witnd/witnd.toml
      witnd doctor --json
    """
    report = run(_examine(load(config_path)))
    if json_output:
        as_json(report)
    else:
        _print(report)
    if report.exit_code:
        raise click.exceptions.Exit(report.exit_code)


async def _examine(config: Config) -> Report:
    from witnd.doctor import machine as host
    from witnd.doctor.host import check_daemon, check_unit, keeps_journal

    checks: list[Check] = []
    private = False
    unit = await asyncio.to_thread(host.unit)
    try:
        where = server(config)
        private = not config.url_explicit and where.path is not None
        async with asyncio.timeout(SECONDS):
            await _redis(config, where, checks, remembers=keeps_journal(config, unit, private=private))
    except ConfigError as wrong:
        checks += [_login(mistake) for mistake in wrong.mistakes]
    except TimeoutError:
        found = f"no complete result within {SECONDS:g} s"
        checks.append(problem("redis", "reachable", found, "check the load of the server and the network"))
    try:
        config.webhooks.tls()
    except ConfigError as wrong:
        remedy = "set webhooks.ca_file to a readable file of PEM certificates"
        checks += [problem("daemon", "webhook authorities", str(mistake), remedy, USAGE) for mistake in wrong.mistakes]
    checks += await asyncio.to_thread(lambda: [*check_daemon(config, private=private), *check_unit(config, unit)])
    checks.sort(key=lambda one: _GROUPS.index(one.group))
    codes = {one.exit_code for one in checks}
    return Report(
        state=next(state for state in STATES if any(one.state == state for one in checks)),
        exit_code=REDIS if REDIS in codes else max(codes),
        counts={state: sum(one.state == state for one in checks) for state in STATES},
        checks=checks,
    )


def _login(mistake: Mistake) -> Check:
    is_password = mistake.path == "redis.password_file"
    remedy = "give the password to this command in WITND_REDIS__PASSWORD_FILE" if is_password else "correct redis.url"
    return problem("redis", "login", str(mistake), remedy, USAGE)


async def _redis(config: Config, where: Endpoint, checks: list[Check], *, remembers: bool) -> None:
    """Run the checks that need the server. Each result is stored at once, in case a later check times out.

    `remembers`: a daemon of this host compares Redis with the journal here.
    """
    from witnd.clock import Clock
    from witnd.doctor.clock import check_clocks
    from witnd.doctor.probe import read_server
    from witnd.doctor.redis import check_server
    from witnd.store.server.routing.health import primaries
    from witnd.store.server.safety import kind_problems

    try:
        servers = await primaries(where, config.redis.prefix, config.redis.partitions)
        facts = [
            await read_server(one, config.redis.prefix, config.redis.durability, Clock(), where.mode) for one in servers
        ]
    except (StoreRefused, Unsafe) as refused:
        checks.append(problem("redis", "reachable", f"{where}: {refused.reason}", refused.remedy))
        return
    except StoreUnavailable as silent:
        remedy = "start it, or correct redis.url"
        checks.append(problem("redis", "reachable", f"{where} does not answer: {silent}", remedy))
        return
    checks.append(ok("redis", "reachable", str(where)))
    for primary, fact in zip(servers, facts, strict=True):
        found = [*check_server(fact, config)]
        if not kind_problems(fact.info, where.mode):
            found += check_clocks(fact, local=where.path is not None or primary.host in _LOCAL)
        named = f" at {primary.host}:{primary.port}" if primary.is_routed else ""
        checks += [replace(one, name=one.name + named) for one in found]
    if any(kind_problems(fact.info, where.mode) for fact in facts):
        return
    if any(fact.loading for fact in facts):
        checks.append(note("data", "data", "not checked: Redis is still loading its data"))
        return
    try:
        await _data(config, where, checks, remembers=remembers)
    except (StoreRefused, Unsafe) as refused:
        checks.append(problem("data", "data", refused.reason, refused.remedy))
    except StoreUnavailable as silent:
        checks.append(problem("data", "data", str(silent), "check the log of the server"))
    except RedisError as odd:
        remedy = "another program changed keys of witnd: restore them from a backup, or choose another redis.prefix"
        checks.append(problem("data", "data", f"Redis responded with an error: {odd}", remedy))


async def _data(config: Config, where: Endpoint, checks: list[Check], *, remembers: bool) -> None:
    from witnd.clock import Clock
    from witnd.doctor.clock import check_journal_time, check_jumps, check_logs
    from witnd.doctor.data import check_data, check_journal, read_journal
    from witnd.doctor.data_probe import read_data
    from witnd.domain.webhooks.notification import rule_id
    from witnd.store.clock.record import jumps
    from witnd.store.journal.journal import Journal
    from witnd.store.journal.marks import read_marks
    from witnd.store.meta import read_meta
    from witnd.store.server.routing.wires import Wires

    keys, journal = GlobalKeys(config.redis.prefix), Journal(config.daemon.state_dir, config.redis.prefix)
    async with connect(where) as client:
        try:
            meta = await read_meta(client, keys, config.redis.partitions)
        except ConfigError as wrong:
            for mistake in wrong.mistakes:
                found = f"{mistake.path}: {mistake.problem}"
                checks.append(problem("data", "deployment", found, mistake.remedy, USAGE))
            return
        catalogue = await _catalogue(client, keys, config, checks)
        # The journal is read before the data: a daemon that works writes the data first.
        remembered = read_journal(journal, None if meta is None else meta.deployment)
        marks = await read_marks(client, keys)
        try:
            _, jumped = await jumps(client, keys)
        except Unsafe as damaged:
            jumped = []
            checks.append(problem("clock", "jump", damaged.reason, damaged.remedy))
    rules = [] if catalogue is None else [rule_id(name) for name in catalogue.keys("notification_rule")]
    grace_ms = int(config.billing.grace * 1000) if config.billing.issue == "auto" else None
    if meta is None:
        found = f"none under the prefix {config.redis.prefix}: no daemon ever ran here"
        checks.append(note("data", "deployment", found, "start a daemon, or correct redis.url and redis.prefix"))
    else:
        found = f"{meta.deployment}, {count(meta.partitions, 'partition')}, format {meta.format}"
        checks.append(ok("data", "deployment", found))
    connection = Wires(where, "witnd-doctor")
    try:
        data = await read_data(connection, config.redis.prefix, config.redis.partitions, rules, grace_ms)
    finally:
        connection.close()
    checks.append(check_journal(journal, remembered, data, marks, counts=remembers))
    checks += [*check_jumps(jumped, data), *check_logs(data), *check_journal_time(journal.path, Clock().now_ms())]
    checks += check_data(data, catalogue, config)


async def _catalogue(client: Redis, keys: GlobalKeys, config: Config, checks: list[Check]) -> Catalogue | None:
    """Return the catalogue, checked against earlier decisions and this host's copy.

    None where it lost versions, or has too many to be read for this.
    """
    from witnd.store.catalogue.copy import CatalogueCopy, read_copy
    from witnd.store.catalogue.loader import check_decided

    with redis_errors():
        length = await client.llen(keys.catalogue)
    if length > VERSIONS:
        return None
    catalogue = Catalogue()
    store = CatalogueStore(client, keys, config.redis.partitions)
    path = CatalogueCopy(config.daemon.state_dir, config.redis.prefix).path
    try:
        await store.load(catalogue)
        await store.check(catalogue)
        if (copy := read_copy(path)) is not None:
            check_decided(catalogue, f"the daemon of this host (see {path})", copy.head)
    except LostData as lost:
        checks.append(problem("data", "versions", lost.reason, lost.remedy))
        return None
    return catalogue


_GROUPS: Final[tuple[Group, ...]] = ("redis", "clock", "data", "daemon", "unit")


def _print(report: Report) -> None:
    table(("part", "check", "state", "finding"), [(one.group, one.name, one.state, one.found) for one in report.checks])
    if todo := list(_todo(report.checks)):
        click.echo()
        table(("state", "checks", "remedy"), todo)
    click.echo()
    click.echo(", ".join(_sum(report)))


def _todo(checks: list[Check]) -> Iterator[tuple[str, str, str]]:
    """Yield each remedy once, the most urgent first."""
    wanted: dict[tuple[State, str], list[str]] = {}
    for state in STATES:
        for one in checks:
            if one.state == state and one.remedy is not None:
                wanted.setdefault((state, one.remedy), []).append(f"{one.group} {one.name}")
    for (state, remedy), names in wanted.items():
        yield state, ", ".join(names[:OF]) + (" …" if len(names) > OF else ""), remedy


def _sum(report: Report) -> Iterator[str]:
    for state in STATES:
        number = report.counts[state]
        if state == "ok":
            yield f"{number} ok"
        elif number or state == "problem":
            yield count(number, state)
