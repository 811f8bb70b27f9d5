"""`witnd repair clock`: accept the clock of the Redis server after it jumped."""

from pathlib import Path

import click
from msgspec import Struct

from witnd.cli.console.author import author
from witnd.cli.console.context import Session, as_json, config_option, json_option, run, session, table
from witnd.clock import Clock
from witnd.domain.values import instant
from witnd.store.clock.record import Effect, Jump, accept, effect, jumps
from witnd.store.keys import BillingKeys


class _Found(Struct, frozen=True, kw_only=True):
    now_ms: int
    jumps: list[Jump]
    effect: Effect
    done: bool


@click.command()
@click.option("--yes", is_flag=True, help="Apply the repair; default: only show it.")
@json_option
@config_option
def clock(*, yes: bool, json_output: bool, config_path: Path | None) -> None:
    """Accept the clock of the Redis server as it is now.

    When the server's clock jumps, running daemons stop settling, closing and issuing. Correct the
    clock, and they continue without this command. Use it only if the clock is right now: for
    example, it was 15 s behind and has been corrected.

    A jump forward makes outcomes and periods due too early. The command counts them. Running daemons
    continue within a second. They accept this jump only; a later one stops them again. The change log
    records the acceptance.

    \b
    JSON: {"needed", "done", "now", "jumps": [{"instance", "jump_ms"}…],
      "due": {"outcomes", "drafts"}}

    \b
    Examples:
      witnd repair clock
      witnd repair clock --yes
    """
    run(_clock(yes, json_output, config_path))


async def _clock(do: bool, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        found = await _found(opened, do)
    now = instant.render(found.now_ms)
    if as_document:
        as_json(
            {
                "needed": bool(found.jumps),
                "done": found.done,
                "now": now,
                "jumps": found.jumps,
                "due": found.effect,
            }
        )
        return
    if not found.jumps:
        click.echo(f"no daemon reports a jump of the server's clock, which shows {now}; nothing to do")
        click.echo("a daemon reports a jump only while it runs: start it if it is stopped")
        return
    click.echo(f"the server's clock shows {now}")
    table(("daemon", "jump"), [(one.instance, f"{one.jump_ms / 1000:+.0f} s") for one in found.jumps])
    verb = "became due at once" if found.done else "would become due at once"
    click.echo(f"{verb}: at most {found.effect.outcomes} outcomes, {found.effect.drafts} draft invoices")
    if found.done:
        click.echo("accepted: running daemons continue within a second")
    else:
        click.echo("nothing was written; if this clock is right, run this with --yes to accept it")


async def _found(opened: Session, do: bool) -> _Found:
    config, redis, keys = opened.config, opened.redis, opened.global_keys
    now_ms, found = await jumps(redis, keys)
    due = await effect(
        redis,
        [opened.keys(number) for number in range(opened.partitions)],
        BillingKeys(config.redis.prefix),
        now_ms,
        max((one.jump_ms for one in found), default=0),
        int(config.billing.grace * 1000),
    )
    done = do and bool(found)
    if done:
        before = {one.instance: one.jump_ms for one in found}
        after = {"clock": instant.render(now_ms), "outcomes_due": due.outcomes, "drafts_due": due.drafts}
        await accept(redis, keys, Clock(), author().change("clock.accept", "redis", before=before, after=after))
    return _Found(now_ms=now_ms, jumps=found, effect=due, done=done)
