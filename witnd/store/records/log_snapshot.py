"""The state of a log at one moment, and checks that no entry is missing."""

from bisect import bisect_left
from collections.abc import Sequence
from typing import Any, Final, NamedTuple

from witnd.domain.catalogue.chain import Head
from witnd.domain.outcomes.event import EntryId
from witnd.store.errors import Unsafe

GAP_REMEDY: Final = "see what was lost and send it again, then accept the gap with `witnd repair gap`"
# A repair sets the greatest deleted id to this if there was none, because it cannot be reset to 0-0.
NO_ENTRY: Final = (0, 1)


class LogSnapshot(NamedTuple):
    """The server's clock, and the positions of log and catalogue at that time."""

    now_ms: int
    catalogue: Head
    versions: int  # length of the catalogue's list, read before its head
    last: EntryId  # id of the last entry ever added
    deleted: EntryId  # greatest id of an entry that was deleted by name; trimming does not count
    first: EntryId  # id of the first entry in the log, (0, 0) if it is empty
    length: int  # number of entries in the log
    added: int  # number of entries ever added
    moving: bool = False  # `witnd repair ahead` is not finished


def entry_id(text: str | bytes) -> EntryId:
    """Return `ms-seq` as a pair of numbers."""
    ms, _, seq = (text if isinstance(text, str) else text.decode()).partition("-")
    return int(ms), int(seq)


def text_of(entry: EntryId) -> str:
    return f"{entry[0]}-{entry[1]}"


def stream_positions(info: Sequence[Any]) -> tuple[EntryId, EntryId, EntryId, int, int]:
    fields = {info[i]: info[i + 1] for i in range(0, len(info), 2)}
    return (
        entry_id(fields.get(b"last-generated-id", b"0-0")),
        entry_id(fields.get(b"max-deleted-entry-id", b"0-0")),
        entry_id(fields.get(b"recorded-first-entry-id", b"0-0")),
        fields.get(b"length", 0),
        fields.get(b"entries-added", 0),
    )


def check_snapshot(snapshot: LogSnapshot, read_to: EntryId, read: int, entries: Sequence[tuple[Any, ...]] = ()) -> None:
    """Raise `Unsafe` unless every entry ever added is read or still in the log.

    `read` is the number of entries up to `read_to`. `entries` follow them, and were read before `snapshot`; only their
    first two members (the id) are used.
    """
    end: EntryId = entries[-1][:2] if entries else read_to
    if snapshot.last < end:
        raise Unsafe(
            f"the log ends at {text_of(snapshot.last)}, before entry {text_of(end)} that was read from it: "
            "Redis lost acknowledged data, or another program deleted the log",
            "stop the daemons and restore the lost data; if the log was deleted on purpose, accept that with "
            "`witnd repair gap`",
        )
    if snapshot.deleted > max(read_to, NO_ENTRY):
        raise Unsafe(
            f"entries up to {text_of(snapshot.deleted)} were deleted, and only those up to {text_of(read_to)} "
            "had been read: events are missing",
            GAP_REMEDY,
        )
    fewest, most = _unread_bounds(snapshot, read_to, entries)
    unexplained = snapshot.added - read - len(entries)
    if unexplained > most:
        raise Unsafe(
            f"{unexplained - most} entries after {text_of(read_to)} were trimmed before they were read: "
            "events are missing",
            GAP_REMEDY,
        )
    if unexplained < fewest:
        raise Unsafe(
            f"the log had {snapshot.added} entries so far, fewer than the {read + len(entries) + fewest} "
            "that must have been in it: it was deleted and recreated, or replaced by another; events may be missing",
            GAP_REMEDY,
        )


def check_read_to_end(snapshot: LogSnapshot, read_to: EntryId, read: int) -> None:
    """Check the same, if a read after `snapshot` found no entry after `read_to`."""
    check_snapshot(snapshot._replace(length=0, first=(0, 0)), read_to, read)


def _unread_bounds(snapshot: LogSnapshot, read_to: EntryId, entries: Sequence[tuple[Any, ...]]) -> tuple[int, int]:
    """Return the least and the greatest possible number of entries after the last one read.

    Trimming removes the oldest entries. So if an entry up to `read_to` is left, no later one was trimmed, and an upper
    bound is enough until the end of the log is read. Otherwise the number is exact.
    """
    end: EntryId = entries[-1][:2] if entries else read_to
    if not snapshot.length or snapshot.last == end:
        return 0, 0
    if snapshot.first > read_to:
        left = len(entries) - bisect_left(entries, snapshot.first, key=lambda entry: entry[:2])
        return snapshot.length - left, snapshot.length - left
    # Another program may have raised the last id, so there may be none.
    return 0, snapshot.length - len(entries) - 1
