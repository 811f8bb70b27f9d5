"""`witnd run`: the daemon."""

from pathlib import Path

import click

from witnd.cli.context import config_option
from witnd.cli.context import run as run_to_end


@click.command("run")
@config_option
@click.option("--embedded", is_flag=True, help="Start a private server; its data is kept in the state directory.")
def run(config_path: Path | None, *, embedded: bool) -> None:
    """Run the daemon until SIGTERM or Ctrl-C.

    \b
    Examples:
      witnd run --embedded
      witnd run --config /etc/witnd/witnd.toml
    """
    from witnd.config import load
    from witnd.daemon.lifecycle import serve
    from witnd.telemetry import configure

    config = load(config_path)
    configure(config.daemon.log_format)
    run_to_end(serve(config, private=embedded))
