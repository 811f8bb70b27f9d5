"""What can go wrong between witnd and Redis, told apart by what the caller may assume.

Texts are written for the operator: what happened, to which server, and what to do.
"""

from collections.abc import Iterator


class StoreUnavailable(Exception):  # noqa: N818 - a state of the world, not a mistake in code
    """No usable answer. Whether Redis executed the call is unknown: repeat only what may be."""


class StoreRefused(Exception):  # noqa: N818
    """Redis answered that it did not do it. Nothing was written; trying again later is safe."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy


class Fenced(Exception):  # noqa: N818
    """Another owner holds the partition: this daemon may write nothing more to it."""


class Displaced(Exception):  # noqa: N818
    """Another deployment's data has replaced this daemon's: it must stop."""


class Unsafe(Exception):  # noqa: N818
    """A Redis that must not be billed from, or that cannot be used at all."""

    def __init__(self, reason: str, remedy: str) -> None:
        super().__init__(f"{reason}; {remedy}")
        self.reason = reason
        self.remedy = remedy


class LostData(Unsafe):
    """Redis has less than was written, or half of a step: nothing more may be written by anybody."""


class DamagedInvoice(Unsafe):
    """A stored head or row of an invoice is unreadable: whatever needs it stops, and `witnd audit` lists it."""


class WrongType(Unsafe):
    """A key of witnd holds another type of data than witnd writes there. Nothing was written."""

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


def leaves(error: BaseException) -> Iterator[BaseException]:
    """The error, or the errors inside where it is the group that failed tasks leave behind."""
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from leaves(inner)
    else:
        yield error
