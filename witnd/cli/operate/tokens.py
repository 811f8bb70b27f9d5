"""`witnd tokens`: manage API tokens. Works without a daemon, so that you can create the first token."""

from pathlib import Path

import click

from witnd.app import tokens as use
from witnd.app.tokens import TokenJson
from witnd.cli.console.author import author
from witnd.cli.console.context import as_json, config_option, json_option, run, session, table
from witnd.cli.console.options import DefaultGroup
from witnd.cli.console.output import printable
from witnd.cli.console.texts import TEXT
from witnd.store.access.tokens import SCOPES

COLUMNS = ("id", "name", "scopes", "rate", "created", "last used", "revoked")


@click.group(cls=DefaultGroup)
def tokens() -> None:
    """List API tokens; create and revoke them.

    The default command is `list`.
    """


@tokens.command("list")
@click.option("--all", "all_", is_flag=True, help="Include revoked tokens.")
@json_option
@config_option
def list_(*, all_: bool, json_output: bool, config_path: Path | None) -> None:
    """List tokens, the oldest first.

    The time of last use can be some seconds old. A damaged token is listed as unreadable. The API refuses it;
    `witnd tokens revoke ID` removes it.

    \b
    JSON: {"data": [TOKEN…], "unreadable": [{"id", "reason"}…]}, a TOKEN being
      {"id", "name", "scopes", "rate", "created_at", "last_used_at", "revoked_at"}

    \b
    Examples:
      witnd tokens
      witnd tokens --all --json
    """
    run(_list(all_, json_output, config_path))


async def _list(everything: bool, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        found, damaged = await use.every(opened.services.tokens, archived=everything)
    if as_document:
        as_json({"data": found, "unreadable": [{"id": one.id, "reason": one.reason} for one in damaged]})
        return
    rows = [_cells(one) for one in found]
    table(COLUMNS, rows + [(one.id, "unreadable", *["–"] * (len(COLUMNS) - 2)) for one in damaged])
    for one in damaged:
        click.echo(printable(f"witnd: {one.reason}; {one.remedy}"), err=True)


@tokens.command("create")
@click.argument("name", type=TEXT)
@click.option(
    "--scope",
    "scopes",
    type=click.Choice(SCOPES),
    multiple=True,
    required=True,
    help="What the token permits; repeatable.",
)
@click.option("--rate", type=float, metavar="N", help="Maximum requests per second; default: no limit.")
@json_option
@config_option
def create_(
    *, name: str, scopes: tuple[str, ...], rate: float | None, json_output: bool, config_path: Path | None
) -> None:
    """Create a token and print it. witnd stores only a digest, so it cannot show the token again.

    Standard output contains only the token. NAME describes who uses it, and need not be unique.

    \b
    ingest   send events
    read     read everything except tokens and the change log
    billing  read; issue, void and credit invoices; record payments and refunds
    admin    everything

    \b
    JSON: the TOKEN that `witnd tokens list --json` lists, and {"token": its text}

    \b
    Examples:
      witnd tokens create ops --scope admin
      TOKEN=$(witnd tokens create shop --scope ingest --rate 200)
      witnd tokens create reports --scope read --json
    """
    run(_create(name, scopes, rate, json_output, config_path))


async def _create(
    name: str, scopes: tuple[str, ...], rate: float | None, as_document: bool, config: Path | None
) -> None:
    use.check_new(name, scopes, rate)  # before it connects: the mistake is in the command
    async with session(config) as opened:
        services = opened.services
        made = await use.create(
            services.tokens, author(), name=name, scopes=scopes, rate=rate, now_ms=services.now_ms()
        )  # fmt: skip
    if as_document:
        as_json(made)
        return
    click.echo(made.token)
    click.echo(
        printable(f"witnd: {made.id} for {name}: {', '.join(scopes)}; store it now, it is not shown again"), err=True
    )


@tokens.command("revoke")
@click.argument("id_", metavar="ID", type=TEXT)
@json_option
@config_option
def revoke_(*, id_: str, json_output: bool, config_path: Path | None) -> None:
    """Revoke the token ID. The API refuses it at once. An unreadable token is removed.

    ID is the part of the token between the underscores; you can also give the whole token. Revoking a token
    twice changes nothing the second time.

    \b
    JSON: the TOKEN that `witnd tokens list --json` lists; {"id", "removed": true} for an unreadable one

    \b
    Example:
      witnd tokens revoke 5f0c3a71b2d9
    """
    # Of a whole token only this part may be repeated in what is printed.
    run(_revoke(id_.split("_")[1] if id_.startswith("wn_") else id_, json_output, config_path))


async def _revoke(id_: str, as_document: bool, config: Path | None) -> None:
    async with session(config) as opened:
        services = opened.services
        if await use.remove_unreadable(services.tokens, author(), id_):
            if as_document:
                as_json({"id": id_, "removed": True})
            else:
                click.echo(printable(f"removed unreadable token {id_}"))
            return
        found = await use.named(services.tokens, id_)
        gone = await use.revoke(services.tokens, author(), found, now_ms=services.now_ms())
    if as_document:
        as_json(gone)
    else:
        already = " already" if found.revoked_at is not None else ""
        click.echo(printable(f"{gone.id} ({gone.name}) is revoked{already}"))


def _cells(one: TokenJson) -> tuple[object, ...]:
    return (
        one.id,
        one.name,
        ", ".join(one.scopes),
        "–" if one.rate is None else f"{one.rate:g}/s",
        one.created_at,
        one.last_used_at or "never",
        one.revoked_at or "–",
    )
