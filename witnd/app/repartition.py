"""Change the number of partitions of a stopped deployment."""

from collections.abc import Callable

from witnd.store.access.change_log import Author, Changes
from witnd.store.keys import GlobalKeys
from witnd.store.repartition import run
from witnd.store.repartition.run import Deployment, Repartitioned

__all__ = ["Deployment", "Repartitioned", "repartition"]


async def repartition(
    deployment: Deployment, author: Author, wanted: int, progress: Callable[[str], None], *, is_dry_run: bool = False
) -> Repartitioned:
    """Move all outcomes to `wanted` partitions, or continue. A dry run only checks whether it can begin. Raises
    `ConfigError` for an invalid number, and `Unsafe` if the data or a daemon prevents it."""
    meta = await run.check(deployment, wanted)
    if is_dry_run or meta is None or wanted == meta.partitions:
        return Repartitioned(before=wanted if meta is None else meta.partitions, partitions=wanted, done=False)
    changes = Changes(deployment.client, GlobalKeys(deployment.prefix))

    async def note(before: int) -> None:
        await changes.note_request(author, "partitions.change", str(wanted), partitions=before)

    return await run.repartition(deployment, wanted, progress, note)
