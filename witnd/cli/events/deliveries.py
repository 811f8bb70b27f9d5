"""`witnd deliveries`: what was sent to whom, what was not, and sending it again."""

from collections.abc import Sequence
from pathlib import Path
from typing import NoReturn

import click

from witnd.cli.console.context import Session, as_json, config_option, json_option, load_catalogue, run, session, table
from witnd.cli.console.output import printable
from witnd.cli.console.texts import TEXT
from witnd.cli.events.delivery import ATTEMPT_COLUMNS, COLUMNS, attempt_cells, cells, lines, listed, shown
from witnd.clock import Clock
from witnd.domain.values import instant
from witnd.domain.webhooks.delivery import HEALTHY, STANDINGS, Standing
from witnd.domain.webhooks.notification import rule_id
from witnd.exit_codes import USAGE
from witnd.store.deliveries.reads import ENDED, Deliveries


class _Default(click.Group):
    """A group whose first command needs no name."""

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        if not args or args[0] not in (*self.commands, "--help", "-h"):
            args = ["list", *args]
        return super().parse_args(ctx, args)


def _instant(_ctx: click.Context, _param: click.Parameter, text: str | None) -> int | None:
    try:
        return None if text is None else instant.parse(text)
    except ValueError as wrong:
        raise click.BadParameter(f"{text!r} {wrong}") from wrong


@click.group(cls=_Default)
def deliveries() -> None:
    """List webhook deliveries; send them again; resume a suspended endpoint.

    Without the name of a command it is `list`.
    """


@deliveries.command("list")
@click.option("--state", type=click.Choice(STANDINGS), help="Only those that stand so.")
@click.option("--rule", type=TEXT, help="Only those of this rule (name or id).")
@click.option("--key", type=TEXT, help="Only those about this outcome.")
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True)
@json_option
@config_option
def list_(
    *,
    state: Standing | None,
    rule: str | None,
    key: str | None,
    limit: int,
    json_output: bool,
    config_path: Path | None,
) -> None:
    """List deliveries, the newest first; with --state pending, those that are due next.

    pending: to be sent, now or after a pause. delivered: answered with 2xx. parked: the endpoint is
    suspended or the rule not in force; `resume` sends them. dead: the schedule is exhausted;
    `resend` sends them.

    \b
    JSON: {"data": [DELIVERY…]}, a DELIVERY being
      {"id", "partition", "rule": {"id", "name"}, "outcome_key", "type", "created_at", "standing",
       "attempts", "next_at", "status", "reason"}

    \b
    Examples:
      witnd deliveries
      witnd deliveries --state dead --rule billing
      witnd deliveries --key ticket-4711 --json
    """
    run(_list(state, rule, key, limit, json_output, config_path))


async def _list(
    state: Standing | None,
    rule: str | None,
    key: str | None,
    limit: int,
    as_document: bool,
    config: Path | None,
) -> None:
    async with session(config) as opened:
        desk, rules = await _desk(opened)
        wanted = None if rule is None else _known(rule, rules)
        if key is None:
            found = await desk.listed(STANDINGS if state is None else [state], wanted, limit)
        else:
            found = [
                one
                for one in await desk.about(key)
                if state in (None, one.row.progress.standing)
                and (wanted is None or (one.row.delivery and one.row.delivery.rule_id == wanted))
            ][:limit]
    rows = [listed(one) for one in found]
    if as_document:
        as_json({"data": rows})
        return
    table(COLUMNS, [cells(row) for row in rows])


@deliveries.command("show")
@click.argument("id_", metavar="ID")
@json_option
@config_option
def show(*, id_: str, json_output: bool, config_path: Path | None) -> None:
    """One delivery in full: its attempts with what was answered, and the body that is sent.

    \b
    JSON: the DELIVERY of `list` and
      {"suspended": why its endpoint is, or null, "body": {…}, "history":
       [{"at", "manual", "status", "reason", "duration_ms", "detail"}…]}
    """
    run(_show(id_, json_output, config_path))


async def _show(id_: str, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        desk, _ = await _desk(opened)
        found = await desk.find(id_)
        if found is None:
            _refuse(f"there is no delivery {id_}; `witnd deliveries` lists them")
        rule = None if found.row.delivery is None else found.row.delivery.rule_id
        endpoint = HEALTHY if rule is None else await desk.endpoint(rule)
    document = shown(found, endpoint)
    if as_document:
        as_json(document)
        return
    for line in lines(document):
        click.echo(printable(line))
    click.echo()
    table(ATTEMPT_COLUMNS, [attempt_cells(one) for one in document.history])


@deliveries.command("resend")
@click.argument("ids", metavar="[ID…]", nargs=-1)
@click.option("--from", "from_ms", metavar="INSTANT", callback=_instant, help="From this on …")
@click.option("--to", "to_ms", metavar="INSTANT", callback=_instant, help="… and before this.")
@click.option("--rule", type=TEXT, help="Of a range, only those of this rule (name or id).")
@json_option
@config_option
def resend(
    *,
    ids: tuple[str, ...],
    from_ms: int | None,
    to_ms: int | None,
    rule: str | None,
    json_output: bool,
    config_path: Path | None,
) -> None:
    """Send deliveries (again), under the same ids: those named, or a range of time.

    A range is of resolutions, and takes what is delivered, parked or dead of them. Where a delivery
    is being retried, this is one more attempt: the retries go on as they were, unless it succeeds.

    \b
    JSON: {"queued": how many, "missing": [ID…]}

    \b
    Examples:
      witnd deliveries resend 5f0c…
      witnd deliveries resend --from 2027-01-01T00:00:00Z --to 2027-01-02T00:00:00Z --rule billing
    """
    ranged = from_ms is not None and to_ms is not None
    if bool(ids) == ranged or (ids and (from_ms, to_ms, rule) != (None, None, None)):
        raise click.UsageError("give either IDs, or --from and --to")
    run(_resend(ids, from_ms or 0, to_ms or 0, rule, json_output, config_path))


async def _resend(
    ids: Sequence[str],
    from_ms: int,
    to_ms: int,
    rule: str | None,
    as_document: bool,
    config: Path | None,
) -> None:
    now_ms = Clock().now_ms()
    async with session(config) as opened:
        desk, rules = await _desk(opened)
        if ids:
            missing = []
            for id_ in dict.fromkeys(ids):
                if await desk.find(id_) is None:
                    missing.append(id_)
                    continue
                await opened.note_request("delivery.resend", id_)
                missing += await desk.resend([id_], now_ms)
            queued = len(set(ids)) - len(missing)
        else:
            wanted = None if rule is None else _known(rule, rules)
            between = f"{instant.render(from_ms)}/{instant.render(to_ms)}"
            await opened.note_request("delivery.resend", between, rule=wanted and rules[wanted], standings=list(ENDED))
            missing, queued = [], await desk.resend_between(from_ms, to_ms, wanted, now_ms)
    if as_document:
        as_json({"queued": queued, "missing": missing})
    else:
        click.echo(f"{queued} queued")
    if missing:
        _refuse(f"there is no delivery {', '.join(missing)}")


@deliveries.command("resume")
@click.argument("rule", type=TEXT)
@json_option
@config_option
def resume(*, rule: str, json_output: bool, config_path: Path | None) -> None:
    """Lift the suspension of RULE's endpoint (name or id) and send what is parked, oldest first.

    \b
    JSON: {"resumed": how many}
    """
    run(_resume(rule, json_output, config_path))


async def _resume(rule: str, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        desk, rules = await _desk(opened)
        known = _known(rule, rules)
        await opened.note_request("notification_rule.resume", rules[known])
        count = await desk.resume(known)
    if as_document:
        as_json({"resumed": count})
    else:
        click.echo(f"{count} resumed")


async def _desk(opened: Session) -> tuple[Deliveries, dict[str, str]]:
    """The deliveries, and the names of all rules there ever were, by id."""
    catalogue = await load_catalogue(opened)
    rules = {rule_id(name): name for name in catalogue.keys("notification_rule")}
    partitions = [opened.keys(number) for number in range(opened.partitions)]
    return Deliveries(opened.redis, partitions, opened.global_keys, rules), rules


def _known(rule: str, rules: dict[str, str]) -> str:
    """The id of the rule with this name or id."""
    found = [id_ for id_, name in rules.items() if rule in (name, id_)]
    if not found:
        names = ", ".join(sorted(rules.values())) or "none"
        _refuse(f"there is no rule {rule!r}; there are: {names}")
    return found[0]


def _refuse(why: str) -> NoReturn:
    click.echo(printable(f"witnd: {why}"), err=True)
    raise click.exceptions.Exit(USAGE)
