"""`witnd mcp`: run an MCP server on standard input and output."""

import os
from pathlib import Path

import click

from witnd.cli.console.context import config_option
from witnd.cli.console.failure import end, refuse
from witnd.config import ConfigError, load

URL_VARIABLE = "WITND_URL"
TOKEN_VARIABLE = "WITND_TOKEN"  # noqa: S105 - where it is, not what it is


@click.command()
@click.option("--url", help="URL of the API; default: WITND_URL, or http.bind in the configuration.")
@click.option(
    "--token-file",
    type=click.Path(path_type=Path, dir_okay=False),
    help="File with the API token; default: the token in WITND_TOKEN.",
)
@click.option("--allow-writes", is_flag=True, help="Add the tool that sends events.")
@config_option
def mcp(*, url: str | None, token_file: Path | None, allow_writes: bool, config_path: Path | None) -> None:
    """Run an MCP server for AI agents on standard input and output.

    Over the Model Context Protocol, an AI agent can find, read and explain outcomes, and with --allow-writes
    send events. Install the extra first: pip install 'witnd[mcp]'. The server needs a token with the scope
    `read`, and also `ingest` for --allow-writes. No option takes the token itself, because every user of the
    machine can see the options of a process.

    \b
    Examples:
      WITND_TOKEN=wn_… witnd mcp
      witnd mcp --url https://billing.example.com --token-file /run/secrets/witnd
    """
    try:
        from witnd.client import AsyncClient, Retries
        from witnd.mcp.server import build
    except ModuleNotFoundError as missing:
        if (missing.name or "").partition(".")[0] not in ("mcp", "mcp_types", "pydantic"):
            raise
        refuse("the package mcp is not installed; run pip install 'witnd[mcp]'")
    try:
        # Somebody waits for the answer, and can ask again.
        client = AsyncClient(_url(url, config_path), _token(token_file), retries=Retries(attempts=3, most=2.0))
    except ValueError as wrong:
        refuse(str(wrong))
    except ConfigError as wrong:
        end(wrong)
    build(client, allow_writes=allow_writes).run("stdio")


def _url(given: str | None, config_path: Path | None) -> str:
    named = given or os.environ.get(URL_VARIABLE)
    if named:
        return named
    bind = load(config_path, os.environ).http.bind
    if bind is None or bind.port == 0:
        raise ValueError(f"http.bind is {bind or 'none'}, which has no fixed port; set --url or {URL_VARIABLE}")
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(bind.host, bind.host)  # noqa: S104 - where it listens
    return f"http://[{host}]:{bind.port}" if ":" in host else f"http://{host}:{bind.port}"


def _token(file: Path | None) -> str:
    if file is not None:
        try:
            return file.read_text().strip()
        except (OSError, UnicodeDecodeError) as error:
            raise ValueError(f"--token-file: cannot be read: {error}") from error
    token = os.environ.get(TOKEN_VARIABLE, "").strip()
    if not token:
        raise ValueError(f"no API token; set {TOKEN_VARIABLE}, or use --token-file")
    return token
