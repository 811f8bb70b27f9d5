"""The command from beginning to end, as a process of its own: what it shows, and that nothing stays."""

import os
import re
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
import redis

from tests.support.processes import until
from witnd.store.keys import Keys

CLEAN = "clean: stored and recomputed data agree"
COMMAND = (sys.executable, "-c", "from witnd.cli.main import main; main()", "demo")
# Whoever has settings of his own, usable or not, sees the same demo.
OTHER = {
    "WITND_CONFIG": "/nonexistent/witnd.toml",
    "WITND_REDIS__URL": "redis://nowhere.invalid:1",
    "WITND_NONSENSE__HERE": "1",
    "NOTIFY_SOCKET": "/nonexistent/notify",
}


class Demo:
    """A running demo, whose temporary files are all in a directory of its own."""

    def __init__(self, *arguments: str) -> None:
        self._folder = TemporaryDirectory(prefix="witnd-")
        self.folder = Path(self._folder.name)
        self.process = subprocess.Popen(
            [*COMMAND, *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            env={**os.environ, **OTHER, "TMPDIR": self._folder.name},
            cwd=self._folder.name,
        )
        self.shown: list[str] = []

    def see(self, word: str) -> str:
        """Read on until a line has this word."""
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.shown.append(line)
            if word in line:
                return line
        raise AssertionError(f"ended without {word}: {''.join(self.shown)} {self.errors()}")

    def errors(self) -> str:
        assert self.process.stderr is not None
        return self.process.stderr.read()

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def end(self) -> int:
        """The exit code, once nothing of it is left."""
        assert self.process.stdout is not None
        if not self.process.stdout.closed:
            self.shown += self.process.stdout
        code = self.process.wait(30)
        assert os.listdir(self.folder) == [], "it left files behind"  # noqa: PTH208
        assert self.related() == [], "it left processes behind"
        return code

    def related(self) -> list[int]:
        """Processes that name the directory, which the private server does."""
        found = []
        for folder in Path("/proc").glob("[0-9]*"):
            try:
                named = self._folder.name.encode() in (folder / "cmdline").read_bytes()
            except OSError:
                continue
            if named:
                found.append(int(folder.name))
        return found

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdout, self.process.stderr):
            assert pipe is not None
            pipe.close()
        until(lambda: not self.related(), "its server has ended")
        self._folder.cleanup()

    def counts(self, what: str) -> dict[str, int]:
        """Rows of the audit's table."""
        rows = re.findall(rf"^{what} +(\w+) +(\d+)$", self.text, re.M)
        return {name: int(count) for name, count in rows}

    def open(self) -> int:
        """Outcomes that are not final, by the audit."""
        outcomes = self.counts("outcomes")
        return outcomes["open"] + outcomes["pending"]

    @property
    def text(self) -> str:
        return "".join(self.shown)


@pytest.fixture
def demo() -> Iterator[Callable[..., Demo]]:
    started: list[Demo] = []

    def start(*arguments: str) -> Demo:
        started.append(Demo(*arguments))
        return started[-1]

    yield start
    for one in started:
        one.close()


@pytest.fixture(scope="module", autouse=True)
def six_seconds() -> Iterator[Demo]:
    """Runs beside the other tests, which it would only make longer."""
    one = Demo("--seconds", "6")
    yield one
    one.close()


@pytest.mark.slow
def test_the_first_ctrl_c_lets_everything_settle(demo: Callable[..., Demo]) -> None:
    shown = demo()
    shown.see("pending")
    shown.tell(signal.SIGINT)
    assert shown.end() == 0
    assert "No more events." in shown.text
    assert shown.open() == 0
    assert CLEAN in shown.text
    assert shown.errors() == ""


@pytest.mark.slow
def test_a_second_ctrl_c_skips_the_settlement(demo: Callable[..., Demo]) -> None:
    shown = demo()
    shown.see("pending")
    shown.tell(signal.SIGINT)
    shown.see("No more events.")
    shown.tell(signal.SIGINT)
    assert shown.end() == 0
    assert shown.open() > 0
    assert CLEAN in shown.text


def test_sigterm_ends_it_at_once_and_in_order(demo: Callable[..., Demo]) -> None:
    shown = demo()
    shown.see(" open ")
    shown.tell(signal.SIGTERM)
    assert shown.end() == 0
    assert "No more events." not in shown.text
    assert CLEAN in shown.text
    assert shown.errors() == ""


@pytest.mark.slow
def test_it_ends_without_a_word_when_nobody_reads_it_any_more(demo: Callable[..., Demo]) -> None:
    shown = demo()
    shown.see(" open ")
    assert shown.process.stdout is not None
    shown.process.stdout.close()
    assert shown.end() == 0
    assert shown.errors() == ""


def test_when_its_server_dies_it_says_so_and_shows_the_daemons_log(
    demo: Callable[..., Demo],
) -> None:
    shown = demo()
    shown.see(" open ")
    (server,) = shown.related()
    os.kill(server, signal.SIGKILL)
    assert shown.end() == 3
    errors = shown.errors()
    assert re.search(r"last log lines of its daemon:\n.* \[info +\] \w+\.\w+ ", errors)
    assert errors.splitlines()[-1] == ("witnd: the server of the demo ended unexpectedly: it was ended by SIGKILL")


def test_it_begins_with_invoices_in_every_state(demo: Callable[..., Demo]) -> None:
    shown = demo()
    billed = shown.see("days of history are billed")
    assert re.search(r"1 to review and issue, .*[1-9] overdue, [1-9]\d* paid, 1 credit note\.$", billed), billed
    assert "/dashboard/invoices" in shown.see("See them at ")
    shown.tell(signal.SIGTERM)
    assert shown.end() == 0
    assert CLEAN in shown.text
    for row in (r"closed drafts +1 in EUR", r"invoices issued +\d in USD", r"invoices paid +\d in JPY", "credit notes"):
        assert re.search(f"^{row}", shown.text, re.M), shown.text
    assert shown.counts("events")["reversed"] > 0
    assert shown.errors() == ""


@pytest.mark.slow
def test_a_revert_after_the_settlement_reverses_the_result(demo: Callable[..., Demo]) -> None:
    shown = demo()
    assert "coding:pr:485" in shown.see(" reversed ")
    shown.tell(signal.SIGTERM)
    assert shown.end() == 0
    assert CLEAN in shown.text


@pytest.mark.slow
def test_what_it_names_leads_inside(demo: Callable[..., Demo]) -> None:
    shown = demo()
    setting = shown.see("WITND_REDIS__URL=").strip().removeprefix("export ")
    variables = dict(pair.split("=", 1) for pair in setting.split())
    shown.see(" open ")
    listed = subprocess.run(
        [*COMMAND[:-1], "outcomes"],
        env={name: text for name, text in os.environ.items() if name[:5] != "WITND"} | variables,
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert "support:ticket:1001" in listed


def test_six_seconds_show_what_billing_by_outcome_is_about(six_seconds: Demo) -> None:
    assert six_seconds.end() == 0
    text = six_seconds.text
    words = [line[35:46].strip() for line in text.splitlines() if re.match(r"\d\d:\d\d:", line)]
    for word in ("open", "pending", "confirmed", "missed", "webhook"):
        assert word in words, text
    for word in ("held", "catalogue", "placed", "duplicate", "rejected"):
        assert word in words, text
    assert "it would be missed" in text
    assert "forged" not in words
    assert len(words) / 13 < 6, "more lines in a second than anybody reads"
    assert "\x1b" not in text
    assert six_seconds.errors() == ""


def test_the_end_explains_an_outcome_and_audits_everything(six_seconds: Demo) -> None:
    six_seconds.end()
    text = six_seconds.text
    explained = re.search(r"^One outcome, as `witnd explain (\S+) --events 0` shows it:$", text, re.M)
    assert explained
    assert re.search(rf"^{explained[1]}: (confirmed|missed)\n(Confirmed|Missed), because ", text, re.M)
    outcomes, events = six_seconds.counts("outcomes"), six_seconds.counts("events")
    assert outcomes["confirmed"]
    assert outcomes["missed"]
    assert six_seconds.open() == 0
    assert events.pop("accepted") == sum(events.values())
    assert re.search(r"^invoice lines +\d+ in EUR +\d+\.\d\d$", text, re.M)
    webhooks = re.search(r"^webhooks: (\d+) verified, (\d+) of them after a retry$", text, re.M)
    assert webhooks
    # The results of the history, 300 but for the last that are not over, send none.
    assert 0 < sum(outcomes.values()) - int(webhooks[1]) <= 300
    assert int(webhooks[2])
    assert text.endswith(f"{CLEAN}\n")


def test_a_difference_ends_it_with_5(demo: Callable[..., Demo]) -> None:
    shown = demo()
    url = shown.see("WITND_REDIS__URL=").strip().partition("WITND_REDIS__URL=")[2]
    shown.see(" rejected ")
    with redis.Redis.from_url(url) as client:
        client.delete(Keys("witn", 0).fates)
    shown.tell(signal.SIGTERM)
    assert shown.end() == 5
    assert CLEAN not in shown.text
    assert re.search(r"witnd: \d+ differences? between stored and recomputed data", shown.text)
