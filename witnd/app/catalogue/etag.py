"""Tags of versions: a change applies only to the version that its author read.

A tag names the version in effect and how many versions there are, so that a scheduled version changes it too. It is
compared with the catalogue that the change is planned against, which is written only if it has not changed: comparing
and writing are one step.
"""

from bisect import bisect_right
from collections.abc import Sequence

from witnd.app.errors import Refused
from witnd.domain.catalogue.catalogue import CatalogueEntry


def etag(number: int, count: int) -> str:
    return f'"{number}-{count}"'


def etag_at(entries: Sequence[CatalogueEntry], at: int) -> str:
    """Return the tag of an entry at an instant. If all versions are scheduled, return the tag of the first."""
    starts = [entry.effective_from for entry in entries]
    return etag(max(1, bisect_right(starts, at)), len(entries))


def check_tag(expected: frozenset[str] | None, present: str) -> None:
    """Raise PRECONDITION_FAILED if the entry changed since it was read."""
    if expected is not None and present not in expected:
        raise Refused(
            "PRECONDITION_FAILED",
            f"resource changed since you read it (ETag {present}); read it again and repeat your change",
            etag=present,
        )
