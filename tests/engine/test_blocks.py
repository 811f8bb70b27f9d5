"""Every change of the reasons for which a partition waits is logged, and health shows all of them."""

from structlog.testing import capture_logs

from witnd.engine.blocks import Blocks, ClockJumped, EntryAhead

ENTRY = (1_789_000_000_000, 0)


def test_a_second_reason_is_logged_while_the_first_one_lasts_and_both_are_shown() -> None:
    blocks = Blocks()
    with capture_logs() as logs:
        blocks.set(EntryAhead(ENTRY, 3_600_000))
        blocks.set(ClockJumped(15_000))

    assert [(line["event"], line["code"]) for line in logs] == [
        ("log.blocked", "entry_ahead"),
        ("log.blocked", "clock_jumped"),
    ]
    assert len(blocks.reasons) == 2


def test_the_end_of_one_reason_leaves_the_other() -> None:
    blocks = Blocks()
    with capture_logs() as logs:
        blocks.set(EntryAhead(ENTRY, 3_600_000))
        blocks.set(ClockJumped(15_000))
        blocks.clear(ClockJumped.code)
        blocks.clear(ClockJumped.code)

    assert [line["event"] for line in logs] == ["log.blocked", "log.blocked", "log.unblocked"]
    assert blocks.reasons == [EntryAhead(ENTRY, 3_600_000).reason]


def test_another_jump_is_a_change_and_the_same_entry_coming_nearer_is_none() -> None:
    blocks = Blocks()
    with capture_logs() as logs:
        blocks.set(ClockJumped(15_000))
        blocks.set(ClockJumped(15_000))
        blocks.set(ClockJumped(3_600_000))
        blocks.set(EntryAhead(ENTRY, 90_000))
        blocks.set(EntryAhead(ENTRY, 80_000))

    assert [line["code"] for line in logs] == ["clock_jumped", "clock_jumped", "entry_ahead"]
