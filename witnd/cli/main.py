"""Define the command `witnd`. Each subcommand is imported when it is used, so help is fast.

Exit codes: 0 done or stopped; 2 usage, configuration or output that cannot be written; 3 Redis unusable or unsafe;
4 another daemon took over, or Redis has another deployment's data; 5 an audit found a difference.
"""

import sys
from importlib import import_module
from typing import Any

import click

from witnd import __version__
from witnd.cli.console.streams import Unwritable, guard_streams

# Name → where the command is, and its line of help, which is here so that nothing is imported.
COMMANDS = {
    "run": ("witnd.cli.start.run:run", "Run the daemon."),
    "demo": ("witnd.cli.start.demo:demo", "Run a self-contained demo with sample traffic."),
    "apply": ("witnd.cli.catalogue.apply:apply", "Show what a catalogue file changes, then apply it."),
    "export": ("witnd.cli.catalogue.apply:export", "Print the catalogue in effect as a TOML file."),
    "agents": ("witnd.cli.catalogue.agents:agents", "List agents; show and compare their versions."),
    "customers": ("witnd.cli.catalogue.agents:customers", "List customers; show and compare their versions."),
    "rate-cards": ("witnd.cli.catalogue.agents:rate_cards", "List rate cards; show and compare their versions."),
    "taxes": ("witnd.cli.catalogue.agents:taxes", "List taxes; show and compare their versions."),
    "seller": ("witnd.cli.catalogue.agents:seller", "Show the seller; compare its versions."),
    "rate": ("witnd.cli.catalogue.rate:rate", "Calculate what outcomes would cost, step by step."),
    "send": ("witnd.cli.events.send:send", "Send events."),
    "events": ("witnd.cli.events.events:events", "Show the fate of events; retry or remove held ones."),
    "outcomes": ("witnd.cli.events.outcomes:outcomes", "List outcomes."),
    "explain": ("witnd.cli.events.explain:explain", "Explain how an outcome was decided and priced."),
    "invoices": ("witnd.cli.billing.invoices:invoices", "Issue, void, credit and export invoices; record payments."),
    "deliveries": ("witnd.cli.events.deliveries:deliveries", "List and show webhook deliveries; resend them."),
    "status": ("witnd.cli.operate.status:status", "Show which daemon owns each partition."),
    "tokens": ("witnd.cli.operate.tokens:tokens", "List API tokens; create and revoke them."),
    "mcp": ("witnd.cli.start.mcp:mcp", "Run an MCP server for AI agents."),
    "audit": ("witnd.cli.operate.audit:audit", "Recompute every outcome and invoice, and report differences."),
    "doctor": ("witnd.cli.operate.doctor:doctor", "Check Redis, clocks, stored data, the daemon and its systemd unit."),
    "repartition": ("witnd.cli.operate.repartition:repartition", "Change the number of partitions."),
    "repair": ("witnd.cli.repair.repair:repair", "Repair data that the daemon refuses to process."),
    "check": ("witnd.cli.catalogue.check:check", "Find every mistake in a configuration or catalogue file."),
}


class Commands(click.Group):
    """A group that imports its commands on use, and maps expected errors to messages."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's signature
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002
        if cmd_name not in COMMANDS:
            return None
        module, _, name = COMMANDS[cmd_name][0].partition(":")
        try:
            command = getattr(import_module(module), name)
        except ModuleNotFoundError as missing:
            if missing.name != module:
                raise
            return None
        return command if isinstance(command, click.Command) else None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        with formatter.section("Commands"):
            formatter.write_dl([(name, line) for name, (_, line) in COMMANDS.items()])

    def main(self, *args: Any, **extra: Any) -> Any:
        guard_streams()
        try:
            return super().main(*args, **extra)
        except Unwritable as failed:  # by what click prints: help, the version
            from witnd.exit_codes import USAGE

            if str(failed):
                click.echo(f"witnd: {failed}", err=True)
            sys.exit(USAGE)

    def invoke(self, ctx: click.Context) -> object:
        from witnd.telemetry import configure_once

        configure_once()
        try:
            return super().invoke(ctx)
        except (click.exceptions.Exit, click.ClickException, click.Abort):
            raise
        except Exception as error:  # noqa: BLE001 - end() raises again what it does not know
            from witnd.cli.console.failure import end

            end(error)


@click.group(
    cls=Commands,
    context_settings={"help_option_names": ["-h", "--help"]},
    epilog="""\b
Examples:
  witnd demo
  witnd run --embedded
  witnd apply catalogue.toml --dry-run
  witnd explain ticket-4711
Every command accepts --help. Settings: --config FILE, or WITND_SECTION__KEY in the environment.""",
)
@click.version_option(__version__, prog_name="witnd", message="%(prog)s %(version)s")
def main() -> None:
    """Outcome-based billing: buyers pay for results."""
