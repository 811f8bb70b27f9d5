"""`witnd demo`: run a self-contained demo with sample traffic."""

import os
import shlex
import shutil
import sys
from contextlib import redirect_stderr, redirect_stdout
from io import StringIO
from pathlib import Path
from typing import TYPE_CHECKING

import click

from witnd.cli.console.context import INTERRUPTED
from witnd.cli.console.failure import end

if TYPE_CHECKING:
    from witnd.app.audit import Report
    from witnd.app.outcomes.view import Explained


@click.command()
@click.option(
    "--seconds",
    type=click.IntRange(min=1),
    metavar="N",
    help="Stop the traffic after N seconds; default: at Ctrl-C.",
)
def demo(seconds: int | None) -> None:
    """Run a self-contained demo with sample traffic.

    The demo starts the daemon with a private Redis server in a temporary directory. It has three sample
    agents (support, coding, contract signing) and their customers. It begins with 60 days of history, so
    there are invoices to review, issue and credit, and paid and overdue ones. The traffic is realistic:
    some outcomes are missed shortly before they settle, or reversed afterwards, and some events are
    duplicate, late, invalid, or for an unknown customer. A webhook receiver verifies every signature. The
    demo prints each step.

    Ctrl-C, or the end of the N seconds, stops the traffic. Open outcomes then settle within a few
    seconds; a second Ctrl-C skips this. Finally, the demo explains one outcome as `witnd explain` does, and
    audits everything as `witnd audit` does. It does not read your configuration, and leaves no files
    behind.

    Exit codes: 0 the audit found no difference, 5 it found one.

    \b
    Examples:
      witnd demo
      witnd demo --seconds 30
      witnd demo --seconds 30 > account.txt
    """
    import signal

    # Until the demo listens there is nothing to clear up: Ctrl-C just ends the process.
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    import asyncio

    from witnd.cli.operate.audit import end_audit
    from witnd.demo.demo import DemoFailed, play

    try:
        report = asyncio.run(play(seconds, _look_inside, _describe))
    except asyncio.CancelledError:
        raise click.exceptions.Exit(INTERRUPTED) from None
    except DemoFailed as broke:
        click.echo(f"witnd: {broke}; last log lines of its daemon:\n{broke.log}", err=True)
        end(broke.cause)
    end_audit(report)


def _look_inside(url: str) -> tuple[str, ...]:
    """Return commands to run in another terminal in the same directory."""
    from witnd.config import FILE_VARIABLE, find

    program = sys.argv[0]
    installed = shutil.which("witnd")
    if installed is not None and Path(installed).resolve() == Path(program).resolve():
        program = "witnd"
    program = shlex.quote(program)
    # A configuration of the user's own could name other keys than the demo's.
    own = "" if find(None, os.environ) is None else f"{FILE_VARIABLE}=/dev/null "
    return (
        f"export {own}WITND_REDIS__URL={shlex.quote(url)}",
        f"{program} outcomes; {program} explain support:ticket:1001; {program} invoices",
    )


def _describe(explained: "Explained | None", report: "Report") -> str:
    """Return what `witnd explain` and `witnd audit` print."""
    from witnd.cli.events.explain import print_explained
    from witnd.cli.operate.audit import print_report

    # The demo prints this itself: a stopped terminal must not block it.
    text = StringIO()
    with redirect_stdout(text), redirect_stderr(text):
        if explained is not None:
            click.echo(f"\nOne outcome, as `witnd explain {explained.key} --events 0` shows it:\n")
            print_explained(explained, 0)
        click.echo("\nAll data recalculated, as `witnd audit` shows it:\n")
        print_report(report)
    return text.getvalue()
