"""Decide which webhook attempts may run at the same time, so that slow endpoints never starve the others.

An endpoint is a URL; rules with the same URL share its limits. Its last attempts decide the share of the next one:

| state | last attempts | share of all attempts | concurrent |
| --- | --- | --- | --- |
| prompt | its last attempt succeeded promptly | 1/4 | 4, and 1 while half of the share is in use |
| uncertain | nothing yet, or its last attempt failed promptly | 1/4 | 1 |
| slow | an attempt takes long, or the last did and succeeded | 3/8, half of it for starts | 4, or 1 after a failure |
| silent | its last attempt took long and failed | 1/8 | 1 |

*Promptly* means within half a second. An attempt that takes longer moves to the slow share. So an endpoint that becomes
silent uses the prompt share for half a second at most. If the slow share is full, its longest running attempt ends
early and counts as failed. After its first failure a silent endpoint only uses the silent share.
"""

from collections import Counter, OrderedDict
from enum import StrEnum
from typing import Final

from msgspec import Struct

__all__ = ["PER_ENDPOINT", "TOTAL", "Admission", "Share", "Sizes", "Ticket", "sizes"]

# Concurrent attempts of a process. Each needs a socket and about 50 KiB.
TOTAL: Final = 1024
# Enough for a few attempts in each share.
MIN_TOTAL: Final = 32
# More than one, so that a round trip does not limit a busy endpoint; few, so that it is not overloaded.
PER_ENDPOINT: Final = 4
# Beyond this number, the least recently used idle endpoints are evicted: about 3 MB.
MAX_ENDPOINTS: Final = 10_000


class Share(StrEnum):
    PROMPT = "prompt"
    UNCERTAIN = "uncertain"
    SLOW = "slow"
    SILENT = "silent"


class Sizes(Struct, frozen=True, kw_only=True):
    """The capacity of each share. `slow_starts` limits the slow share when an attempt starts."""

    prompt: int
    uncertain: int
    slow: int
    slow_starts: int
    silent: int

    @property
    def total(self) -> int:
        return self.prompt + self.uncertain + self.slow + self.silent


def sizes(total: int) -> Sizes:
    """Return the shares of `total` attempts, each at least 1."""
    eighth = max(1, total // 8)
    return Sizes(
        prompt=2 * eighth, uncertain=2 * eighth, slow=3 * eighth, slow_starts=(3 * eighth + 1) // 2, silent=eighth
    )


def total_for(files: int) -> int:
    """Return the number of attempts for a limit of open files: a quarter, because Redis and HTTP need some too."""
    return max(MIN_TOTAL, min(TOTAL, files // 4))


class Ticket(Struct, eq=False):
    """A running attempt. `share` is None after it was ended early."""

    url: str
    share: Share | None
    is_slow: bool = False
    is_over: bool = False


class _Endpoint(Struct, eq=False):
    standing: Share = Share.UNCERTAIN
    has_succeeded: bool = False  # the last finished attempt
    running: int = 0


class Admission:
    """Counts attempts and decides which may start. Reads no clock: the caller marks attempts as slow."""

    def __init__(self, sizes: Sizes) -> None:
        self.sizes = sizes
        self.counts: Counter[Share] = Counter()
        self._endpoints: OrderedDict[str, _Endpoint] = OrderedDict()
        self._slow: OrderedDict[int, Ticket] = OrderedDict()  # by id(), longest running first

    def share_for(self, url: str) -> Share:
        found = self._endpoints.get(url)
        return Share.UNCERTAIN if found is None else found.standing

    def is_full(self, share: Share) -> bool:
        """Return whether no attempt may start in this share now."""
        sizes = self.sizes
        most = {
            Share.PROMPT: sizes.prompt,
            Share.UNCERTAIN: sizes.uncertain,
            Share.SLOW: sizes.slow_starts,
            Share.SILENT: sizes.silent,
        }
        return self.counts[share] >= most[share]

    def is_busy(self, url: str) -> bool:
        """Return whether the endpoint has its maximum of concurrent attempts."""
        found = self._endpoints.get(url)
        return found is not None and found.running >= self._limit(found)

    def start(self, url: str) -> Ticket | None:
        """Start an attempt, or return None if it must wait."""
        share = self.share_for(url)
        if self.is_full(share) or self.is_busy(url):
            return None
        self._endpoints.setdefault(url, _Endpoint()).running += 1
        self._endpoints.move_to_end(url)
        ticket = Ticket(url, share)
        self.counts[share] += 1
        if share is Share.SLOW:
            self._slow[id(ticket)] = ticket
        return ticket

    def mark_slow(self, ticket: Ticket) -> Ticket | None:
        """Move an attempt to the slow share. If that share is full, return the attempt to end early."""
        ticket.is_slow = True
        endpoint = self._endpoints[ticket.url]
        if endpoint.standing is not Share.SILENT:
            endpoint.standing = Share.SLOW
        if ticket.share not in (Share.PROMPT, Share.UNCERTAIN):
            return None
        longest = None
        if len(self._slow) >= self.sizes.slow:
            _, longest = self._slow.popitem(last=False)
            self._leave(longest)
        self.counts[ticket.share] -= 1
        self.counts[Share.SLOW] += 1
        ticket.share = Share.SLOW
        self._slow[id(ticket)] = ticket
        return longest

    def end(self, ticket: Ticket, *, succeeded: bool | None) -> None:
        """End an attempt. `succeeded` is None if it was not sent; then the endpoint's state stays."""
        if ticket.is_over:
            return
        ticket.is_over = True
        if ticket.share is not None:
            self._slow.pop(id(ticket), None)
            self._leave(ticket)
        endpoint = self._endpoints[ticket.url]
        endpoint.running -= 1
        if succeeded is not None:
            endpoint.has_succeeded = succeeded
            slow = Share.SLOW if succeeded else Share.SILENT
            prompt = Share.PROMPT if succeeded else Share.UNCERTAIN
            endpoint.standing = slow if ticket.is_slow else prompt
        self._forget()

    def _leave(self, ticket: Ticket) -> None:
        assert ticket.share is not None
        self.counts[ticket.share] -= 1
        ticket.share = None

    def _limit(self, endpoint: _Endpoint) -> int:
        match endpoint.standing:
            case Share.PROMPT:
                return PER_ENDPOINT if 2 * self.counts[Share.PROMPT] < self.sizes.prompt else 1
            case Share.SLOW:
                return PER_ENDPOINT if endpoint.has_succeeded else 1
            case _:
                return 1

    def _forget(self) -> None:
        while len(self._endpoints) > MAX_ENDPOINTS:
            idle = next((url for url, endpoint in self._endpoints.items() if not endpoint.running), None)
            if idle is None:
                return
            del self._endpoints[idle]
