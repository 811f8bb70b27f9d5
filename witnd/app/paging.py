"""What handlers that read the store share: a connection, a catalogue that knows what is read, and cursors of lists."""

from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Awaitable, Callable
from typing import Final, TypeVar

from witnd.app.errors import invalid
from witnd.app.services import Services
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.store.errors import Unsafe
from witnd.store.query.cursor import Cursor
from witnd.store.query.reads import Reads, open_reads

# Records that one request looks at: less than a tenth of a second. A page that ends here leads on with its cursor.
LOOKED_AT_MAX: Final = 2000
# An outcome key of 255 characters, and what stands around it.
_CURSOR_MAX: Final = 2048

T = TypeVar("T")


async def asked(services: Services, ask: Callable[[Reads, Catalogue], Awaitable[T]]) -> T:
    """What `ask` answers, over a connection of its own."""
    async with open_reads(services.server) as reads:
        catalogue = await services.learned()
        try:
            return await ask(reads, catalogue)
        except Unsafe:
            # An outcome that opened meanwhile may have terms that are newer than what was just learned.
            return await ask(reads, await services.learned())


def cursor(place: Cursor | None) -> str | None:
    """A place as the cursor of a list: any outcome key fits into an address so."""
    return None if place is None else urlsafe_b64encode(str(place).encode()).decode().rstrip("=")


def place_of(after: str | None, partitions: int) -> Cursor | None:
    """The place that a cursor names."""
    if after is None:
        return None
    try:
        if len(after) > _CURSOR_MAX or cursor(place := _read(after)) != after or place.partition >= partitions:
            raise ValueError(after)
    except ValueError:
        raise invalid("after", "is no cursor of this list; give the next_cursor of the page before") from None
    return place


def _read(after: str) -> Cursor:
    return Cursor.parse(urlsafe_b64decode(after.encode() + b"=" * (-len(after) % 4)).decode())
