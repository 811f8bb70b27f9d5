"""Shared parts of use cases that read the store: a connection, an up-to-date catalogue, and cursors."""

from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from witnd.app.errors import checked_cursor
from witnd.app.services import Services
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.store.errors import Unsafe
from witnd.store.query.cursor import Cursor
from witnd.store.query.reads import Reads, open_reads

# Records that one request looks at: less than a tenth of a second. A page that ends here leads on with its cursor.
LOOKED_AT_MAX: Final = 2000

T = TypeVar("T")


async def read_with_catalogue(services: Services, ask: Callable[[Reads, Catalogue], Awaitable[T]]) -> T:
    """Return the result of `ask` with its own connection."""
    async with open_reads(services.server) as reads:
        catalogue = await services.learned()
        try:
            return await ask(reads, catalogue)
        except Unsafe:
            # An outcome that opened meanwhile may have terms that are newer than what was just learned.
            return await ask(reads, await services.learned())


def cursor_of(services: Services, after: str | None) -> Cursor | None:
    """Return the place after which a page begins."""
    with checked_cursor():
        return None if after is None else Cursor.parse(after, len(services.partitions))
