"""The biller's commits: numbered, one in flight, each confirmed before the next is sent."""

import asyncio
from functools import partial

from witnd.domain.catalogue.catalogue import Catalogue
from witnd.store.invoices.ledger import Ledger
from witnd.store.partition.commit import Commit
from witnd.store.server.retry import Retry


class Steps:
    """Sends commits. `sequence` is the number of the last commit in Redis."""

    def __init__(self, ledger: Ledger, catalogue: Catalogue, retry: Retry, fence: str) -> None:
        self.sequence = 0
        self._catalogue = catalogue
        self._ledger = ledger
        self._retry = retry
        self._fence = fence
        self._writing: asyncio.Future[None] | None = None

    def begin(self) -> Commit:
        """Return a new step, which must be the next one that is sent."""
        return Commit(self._ledger.keys, self.sequence + (self._writing is not None))

    async def commit(self, step: Commit) -> None:
        """Send a step and wait until it is written."""
        await self.send(step)
        await self.flush()

    async def send(self, step: Commit) -> None:
        """Send a step after the previous one is written."""
        await self.flush()
        step.add("HSET", self._ledger.keys.state, "catalogue", str(self._catalogue.chain.head))
        writing = self._retry.call("writing invoices", partial(self._ledger.commit, step, self._fence))
        self._writing = asyncio.ensure_future(writing)
        await asyncio.sleep(0)  # sends it before the next one is created

    async def flush(self) -> None:
        """Wait until the step in flight is written."""
        if self._writing is not None:
            await self._writing
            self._writing = None
            self.sequence += 1

    def cancel(self) -> None:
        if self._writing is not None:
            self._writing.cancel()
