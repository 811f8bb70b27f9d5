"""Who owns the partitions and the invoices, and how far each partition is."""

from msgspec import Struct

from witnd.app.services import Services
from witnd.store.query.owners import Ownership, billing_owner, read_owners
from witnd.store.query.reads import open_reads


class Owners(Struct, frozen=True, kw_only=True):
    """`billing`: instance of the daemon that makes the invoices, or None."""

    partitions: list[Ownership]
    billing: str | None


async def owners(services: Services) -> Owners:
    """Return the owners. Raises `StoreUnavailable`, `StoreRefused` or `Unsafe`."""
    async with open_reads(services.server) as reads:
        return Owners(
            partitions=await read_owners(reads, services.partitions),
            billing=await billing_owner(reads, services.keys.prefix),
        )
