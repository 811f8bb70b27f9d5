"""Errors of the store. The type shows what the caller may assume: done, not done, or unknown.

Each message is for the operator: what happened, where, and what to do.
"""

from collections.abc import Iterator


class StoreUnavailable(Exception):  # noqa: N818 - a state of the world, not a mistake in code
    """No usable answer: it is unknown whether Redis executed the call. Repeat only what may run twice."""


class StoreRefused(Exception):  # noqa: N818
    """Redis refused the call. Nothing was written, so a retry is safe."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy


class Loading(StoreRefused):
    """The server is still loading its data."""


class Moving(StoreRefused):
    """Another server is the primary of these keys, now or soon. The next call looks it up."""


class Fenced(Exception):  # noqa: N818
    """Another owner holds the partition, so this daemon must not write to it any more."""


class Displaced(Exception):  # noqa: N818
    """The daemon must stop: Redis has the data of another deployment, or another daemon has its instance name."""


class Unsafe(Exception):  # noqa: N818
    """A server or data that witnd must not bill from, or cannot use at all."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy


class LostData(Unsafe):
    """Redis lost data or has half of a step. Nothing more may be written.

    Found by the journal at the start (`store.journal`), gaps in a log (`store.records.log_snapshot`), the sequence of
    commits (`store.partition.commit`), the digest of the catalogue (`store.catalogue.loader`), and positions and
    numbers of invoices (`store.invoices`).
    """


class LostSteps(LostData):
    """Redis has fewer steps than were written: `found` is the number of the last one. If none of the lost steps was
    confirmed, they can be decided again."""

    def __init__(self, what: str, found: int, written: int) -> None:
        super().__init__(
            f"Redis lost data: {what} at step {found}, and step {written} was written",
            "restore the data before witnd is started again",
        )
        self.found = found


class DamagedInvoice(Unsafe):
    """A stored head or row of an invoice is unreadable. Work that needs it stops, and `witnd audit` lists it."""


class WrongType(Unsafe):
    """A key has another type than witnd uses there. Nothing was written."""

    def __init__(self, key: str, kind: str) -> None:
        super().__init__(
            f"the key {key} holds a {kind}, which witnd does not write there: another program changed it",
            "rename or delete that key if it is not yours; else restore it from a backup",
        )
        self.key = key


class Unreadable(Exception):  # noqa: N818
    """One stored record is damaged. It concerns only one outcome, message or token."""

    def __init__(self, key: str, reason: str) -> None:
        super().__init__(f"{key}: {reason}" if key else reason)
        self.key = key
        self.reason = reason


def only_lost_data(error: BaseException) -> LostData | None:
    """Return the first loss, or None if there are other errors too."""
    errors = list(leaves(error))
    found = [one for one in errors if isinstance(one, LostData)]
    return found[0] if len(found) == len(errors) else None


def leaves(error: BaseException) -> Iterator[BaseException]:
    """Yield the error itself, or the errors inside an exception group."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error
