"""Keep a copy of the catalogue on disk, and compare it with Redis at the start.

Versions are written a moment after the daemon has read them. An unreadable or unwritable file raises an alarm.
"""

import asyncio
import contextlib
from collections.abc import Sequence
from typing import Final

import structlog

from witnd.daemon.journal_keeper import in_thread
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.store.catalogue.copy import CatalogueCopy
from witnd.store.catalogue.loader import check_decided
from witnd.store.catalogue.versions import CatalogueStore
from witnd.store.errors import Unsafe

RETRY_SECONDS: Final = 2.0
CLOSE_SECONDS: Final = 2.0

log = structlog.get_logger()


class CatalogueKeeper:
    """Writes the copy: `run()` until cancelled. `is_kept`: whether the state directory survives a restart."""

    def __init__(self, copy: CatalogueCopy, *, is_kept: bool) -> None:
        self.is_kept = is_kept
        self.alarm: str | None = None  # why the copy is not on disk, for health
        self._copy = copy
        self._reason: str | None = None
        self._wanted = asyncio.Event()

    async def load(self, deployment: str, store: CatalogueStore) -> Catalogue:
        """Load all versions; raise `LostData` if the copy has others."""
        catalogue = Catalogue()
        self.open(deployment, catalogue)
        await store.load(catalogue)
        self.check(catalogue)
        return catalogue

    def open(self, deployment: str, catalogue: Catalogue) -> None:
        """Read the copy, and add new versions from now on."""
        if not self.is_kept:
            return
        try:
            self._copy.open(deployment)
        except (OSError, Unsafe) as failed:
            self.is_kept = False
            self._report(str(failed))
            return
        catalogue.chain.on_entries = self._add

    def check(self, catalogue: Catalogue) -> None:
        """Raise `LostData` if the copy has versions that the complete catalogue does not have."""
        if self.is_kept:
            check_decided(catalogue, f"the daemon of this host (see {self._copy.path})", self._copy.head)

    def _add(self, start: int, entries: Sequence[bytes]) -> None:
        self._copy.add(start, entries)
        self._wanted.set()

    async def run(self) -> None:
        if not self.is_kept:
            return
        self._wanted.set()
        while True:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(RETRY_SECONDS if self._copy.is_behind else None):
                    await self._wanted.wait()
            self._wanted.clear()
            await self._write()

    async def close(self) -> None:
        """Write once more."""
        if self.is_kept and self._copy.is_behind:
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(CLOSE_SECONDS):
                    await self._write()

    async def _write(self) -> None:
        try:
            await in_thread(self._copy.write)
        except OSError as failed:
            self._report(failed.strerror or repr(failed))
        else:
            self._report(None)

    def _report(self, reason: str | None) -> None:
        """Raise or clear the alarm; log each change of the reason once."""
        if reason == self._reason:
            return
        self._reason = reason
        path = str(self._copy.path)
        if reason is None:
            self.alarm = None
            log.info("catalogue.copy_recovered", path=path)
        else:
            self.alarm = (
                f"the copy of the catalogue {path} is not up to date ({reason}): it cannot restore lost versions"
            )
            remedy = "free space, or make the state directory writable; settlement continues meanwhile"
            log.error("catalogue.copy_failed", path=path, reason=reason, remedy=remedy)
