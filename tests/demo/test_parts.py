"""The parts of the demo: receiver, traffic, screen, and the exit code."""

import asyncio
import fcntl
import os
import pty
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice

import pytest
from click.testing import CliRunner
from standardwebhooks import Webhook

from witnd.app.audit import Report
from witnd.audit.scope import Mismatch
from witnd.cli.main import main
from witnd.demo import demo
from witnd.demo.catalogue import sample_file
from witnd.demo.history import DAYS, HISTORY_CUSTOMERS, history
from witnd.demo.receiver import ERROR_EVERY, Receiver, ReceiverStats, signature_problem
from witnd.demo.screen import Screen
from witnd.demo.traffic import LANES, Raw, Step, fields, outcomes
from witnd.domain.catalogue.file import parse
from witnd.domain.outcomes.event import Event, Refusal, read

SECRET = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"
BODY = b'{"data": {"subjectKey": "support:ticket:1001"}}'
NOW = 1_800_000_000


def signed(id_: str = "a", secret: str = SECRET) -> dict[str, str]:
    signature = Webhook(secret).sign(id_, datetime.fromtimestamp(NOW, UTC), BODY.decode())
    stamp = str(NOW)
    return {"webhook-id": id_, "webhook-timestamp": stamp, "webhook-signature": signature}


def test_the_receiver_takes_what_the_public_library_signs() -> None:
    assert signature_problem(SECRET, signed(), BODY, NOW) is None


def test_the_receiver_takes_any_of_several_signatures() -> None:
    headers = signed()
    headers["webhook-signature"] = f"v1,AAAA {headers['webhook-signature']}"
    assert signature_problem(SECRET, headers, BODY, NOW) is None


@pytest.mark.parametrize(
    ("headers", "body", "now"),
    [
        (signed(), BODY + b" ", NOW),
        (signed(secret="whsec_" + "A" * 32), BODY, NOW),
        ({**signed(), "webhook-id": "b"}, BODY, NOW),
        ({**signed(), "webhook-signature": ""}, BODY, NOW),
        (signed(), BODY, NOW + 301),
        ({}, BODY, NOW),
    ],
)
def test_the_receiver_refuses_everything_else(headers: Mapping[str, str], body: bytes, now: int) -> None:
    assert signature_problem(SECRET, headers, body, now) is not None


def test_the_receiver_refuses_some_once_and_tells_messages_apart_by_id() -> None:
    receiver = Receiver(lambda _: None)
    answers = []
    for number in range(ERROR_EVERY * 2):
        receipt = receiver.record("crm", {"webhook-id": str(number)}, BODY, None, NOW)
        answers.append(receipt.status)
        if receipt.status == 500:
            assert receiver.record("crm", {"webhook-id": str(number)}, BODY, None, NOW).attempt == 2
    assert Counter(answers) == {200: (ERROR_EVERY - 1) * 2, 500: 2}
    assert receiver.record("crm", {"webhook-id": "0"}, BODY, None, NOW).again
    assert receiver.stats == ReceiverStats(verified=ERROR_EVERY * 2, retried=2, repeated=1)


def test_everything_but_the_mistakes_made_on_purpose_is_a_usable_event() -> None:
    agents = {item.key for item in parse(sample_file("http://127.0.0.1:1").decode()).items if item.kind == "agent"}
    for lane in LANES:
        for acted in islice(outcomes(lane), 3 * len(lane.plots)):
            for number, step in enumerate(acted.plot):
                if isinstance(step, Step):
                    flat = [part.encode() for pair in fields(acted, number, step).items() for part in pair]
                    item = read(flat)
                    assert isinstance(item, Event), (acted, step, item)
                    assert item.key == acted.key
                    assert item.agent_key in agents
                elif isinstance(step, Raw):
                    assert isinstance(read((b"data", step.data.encode())), Refusal)


def test_no_outcome_key_comes_twice() -> None:
    keys = [acted.key for lane in LANES for acted in islice(outcomes(lane), 200)]
    assert len(keys) == len(set(keys))


# -- the history -----------------------------------------------------------------------------------


def test_the_history_is_the_same_before_every_now() -> None:
    first, later = history(NOW * 1000), history(NOW * 1000 + 86_400_000)
    assert [(at + 86_400_000, event) for at, event in first] == later


def test_the_history_has_usable_events_in_order_that_end_before_now() -> None:
    found, now_ms = history(NOW * 1000), NOW * 1000
    assert found == sorted(found, key=lambda event: event[0])
    assert now_ms - DAYS * 86_400_000 == found[0][0]
    assert found[-1][0] < now_ms
    events = [read([part.encode() for pair in event.items() for part in pair]) for _, event in found]
    assert {event.customer_key for event in events if isinstance(event, Event)} == set(HISTORY_CUSTOMERS)
    live = {acted.key for lane in LANES for acted in islice(outcomes(lane), 200)}
    assert [event for event in events if not isinstance(event, Event) or event.key in live] == []


@pytest.mark.parametrize("day", range(0, 365, 7))
def test_every_customer_has_a_confirmed_result_in_the_month_before(day: int) -> None:
    """Whatever the date is, each gets an invoice of the last closed month."""
    now = datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=day)
    before = f"{now.replace(day=1) - timedelta(days=1):%Y-%m}"
    billed = set()
    for at, fields_ in history(round(now.timestamp() * 1000)):
        event = read([part.encode() for pair in fields_.items() for part in pair])
        assert isinstance(event, Event)
        if (
            event.action in ("pr_merged", "signed_by_seller")
            and f"{datetime.fromtimestamp(at // 1000, UTC):%Y-%m}" == before
        ):
            billed.add(event.customer_key)
    assert billed == set(HISTORY_CUSTOMERS)


# -- the screen ----------------------------------------------------------------------------------


async def test_colours_are_for_terminals() -> None:
    reading, terminal = pty.openpty()
    with os.fdopen(reading, "rb", buffering=0) as seen, os.fdopen(terminal, "w") as stream:
        screen = Screen(lambda: None, stream)
        screen.print_line(("late", "yellow"), (" [why]", ""))
        await screen.close(asyncio.Event())
        shown = seen.read(100)
    assert b"late" in shown
    assert b" [why]" in shown
    assert b"\x1b[33m" in shown or "NO_COLOR" in os.environ or os.environ.get("TERM") == "dumb"


async def test_a_reader_that_stands_still_stops_nobody() -> None:
    reading, writing = os.pipe()
    fcntl.fcntl(writing, fcntl.F_SETPIPE_SZ, 4096)
    with os.fdopen(reading, "rb") as seen, os.fdopen(writing, "w") as stream:
        screen = Screen(lambda: None, stream)
        for number in range(1000):
            screen.print_line((f"line {number}", ""))
        hurried = asyncio.Event()
        hurried.set()
        await screen.close(hurried)
        # The thread still holds the pipe: let it write the rest before the stream is closed.
        text = b"".join(iter(seen.readline, b"line 999\n"))
    assert text.count(b"\n") == 999


async def test_a_reader_that_left_is_told_once() -> None:
    reading, writing = os.pipe()
    gone = Counter[str]()
    with os.fdopen(writing, "w") as stream:
        screen = Screen(lambda: gone.update(["gone"]), stream)
        os.close(reading)
        for _ in range(3):
            screen.print_line(("line", ""))
        await screen.close(asyncio.Event())
    assert gone == {"gone": 1}


# -- the end -------------------------------------------------------------------------------------


def audited(differences: int = 0) -> Report:
    """An audit of nothing, with some differences."""
    wrong = [Mismatch(partition=0, key="", what="invoice lines", expected="1", found="2", remedy="")] * differences
    return Report(
        clean=not wrong, exact=True, quick=False, outcomes={}, events={}, deliveries=0, billed=[], invoices=[],
        partitions=[], difference_count=differences, differences=wrong, repaired=[],
    )  # fmt: skip


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """The command decides about Ctrl-C for its whole process, which here is that of the tests."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
@pytest.mark.parametrize(
    ("report", "code", "line"),
    [
        (audited(), 0, "clean: stored and recomputed data agree"),
        (audited(1), 5, "witnd: 1 difference between stored and recomputed data"),
    ],
)
def test_the_end_is_that_of_the_audit(report: Report, code: int, line: str, monkeypatch: pytest.MonkeyPatch) -> None:
    shown = []

    async def play(_seconds: object, _look_inside: object, describe: demo.Describe) -> Report:
        shown.append(describe(None, report))
        return report

    monkeypatch.setattr(demo, "play", play)
    assert CliRunner().invoke(main, ["demo"]).exit_code == code
    assert line in shown[0]


def test_help_has_examples() -> None:
    shown = CliRunner().invoke(main, ["demo", "--help"]).output
    assert "witnd demo --seconds 30" in shown
