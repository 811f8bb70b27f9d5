"""The parts of the demo by themselves: receiver, traffic, screen, and what a wrong sum comes to."""

import asyncio
import fcntl
import os
import pty
import signal
from collections import Counter
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from itertools import islice

import pytest
from click.testing import CliRunner
from standardwebhooks import Webhook

from witnd.audit.invoices.totals import CurrencyTotals, InvoiceAudit, StageTotals
from witnd.audit.run import PartitionAudit
from witnd.audit.scope import LineSum, Mismatch
from witnd.cli.main import main
from witnd.demo import demo
from witnd.demo.catalogue import sample_items
from witnd.demo.receiver import ERROR_EVERY, Receiver, ReceiverStats, signature_problem
from witnd.demo.screen import Screen
from witnd.demo.summary import Agent, Summary, lines
from witnd.demo.traffic import LANES, Raw, Step, fields, outcomes
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
    assert receiver.heard == ReceiverStats(verified=ERROR_EVERY * 2, retried=2, repeated=1)


def test_everything_but_the_mistakes_made_on_purpose_is_a_usable_event() -> None:
    agents = {item.key for item in sample_items("http://127.0.0.1:1") if item.kind == "agent"}
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


def ended(*, confirmed: int = 1, amount: str = "0.99", mistakes: int = 0) -> Summary:
    """An end whose rows say one confirmed outcome for 0.99 EUR, and whose audit says otherwise."""
    events = dict.fromkeys(("applied", "held", "rejected", "late", "duplicate", "conflict", "waiting"), 0)
    verdict = PartitionAudit(
        partition=0,
        exact=True,
        log="compared",
        gaps=0,
        lost=0,
        repaired=[],
        outcomes={"OPEN": 0, "PENDING": 0, "CONFIRMED": confirmed, "FAILED": 0},
        events=events,
        deliveries=0,
        sums={"EUR": LineSum(lines=confirmed, amount=Decimal(amount))},
        differences=[],
        difference_count=0,
    )
    support = Agent(statuses=Counter(CONFIRMED=1), amounts={"EUR": Decimal("0.99")})
    drafts = {"open": StageTotals(invoices=2, lines=3, subtotal=Decimal("1.98"))}
    wrong = [Mismatch(partition=None, key="", what="subtotal", expected="1.98", found="0.99", remedy="")] * mistakes
    books = InvoiceAudit(
        exact=True, sums={"EUR": CurrencyTotals(digits=2, stages=drafts)}, differences=wrong, difference_count=mistakes
    )
    return Summary(agents={"support": support}, verdict=verdict, books=books, heard=ReceiverStats())


def test_the_table_is_the_audits() -> None:
    shown = ["".join(text for text, _ in pieces) for pieces in lines(ended())]
    assert shown[:3] == [
        "agent     opened  confirmed  missed  billed",
        "support        1          1       0  0.99 EUR",
        "together       1          1       0  0.99 EUR",
    ]
    assert shown[-2:] == ["invoices: 2 drafts of 3 lines: 1.98 EUR", "audit: 1 outcome recomputed, 0 differences"]


@pytest.fixture
def _interruptible() -> Iterator[None]:
    """The command decides about Ctrl-C for its whole process, which here is that of the tests."""
    before = signal.getsignal(signal.SIGINT)
    yield
    signal.signal(signal.SIGINT, before)


@pytest.mark.usefixtures("_interruptible")
@pytest.mark.parametrize(
    ("found", "code"), [(ended(), 0), (ended(confirmed=2), 5), (ended(amount="1.98"), 5), (ended(mistakes=1), 5)]
)
def test_sums_that_are_not_the_audits_end_with_5(found: Summary, code: int, monkeypatch: pytest.MonkeyPatch) -> None:
    async def play(*_: object) -> Summary:
        return found

    monkeypatch.setattr(demo, "play", play)
    assert CliRunner().invoke(main, ["demo"]).exit_code == code


def test_help_has_examples() -> None:
    shown = CliRunner().invoke(main, ["demo", "--help"]).output
    assert "witnd demo --seconds 30" in shown
