"""Check after an outage that Redis still has the data of this deployment, and every step that was written."""

from redis.asyncio import Redis

from witnd.config import Config
from witnd.domain.catalogue.catalogue import Catalogue
from witnd.engine.intake import Intake
from witnd.store.catalogue.loader import check_head
from witnd.store.errors import Displaced, LostData, LostSteps, StoreRefused
from witnd.store.keys import GlobalKeys
from witnd.store.log.reader import Log
from witnd.store.meta import read_meta
from witnd.store.records.log_snapshot import check_snapshot
from witnd.store.server.safety import problems


async def check_deployment(log: Log, client: Redis, keys: GlobalKeys, deployment: str, config: Config) -> None:
    """Raise `StoreRefused` while the server of a log is not safe to bill from, `LostData` or `Displaced` if it has
    lost this deployment or has another one."""
    found = problems(await log.health(), config.redis.durability)
    if found:
        raise StoreRefused(found[0].reason, found[0].remedy)
    meta = await read_meta(client, keys, config.redis.partitions)
    if meta is None:
        raise LostData(
            f"Redis lost its data: deployment {deployment} is gone", "restore the data before witnd is started again"
        )
    if meta.deployment != deployment:
        raise Displaced(
            f"Redis has the data of another deployment, {meta.deployment}, in place of {deployment}; "
            "find out which of the two is right before you start witnd again"
        )


async def check_partition(log: Log, number: int, sequence: int, catalogue: Catalogue, intake: Intake) -> None:
    """Raise `LostData` if steps of a partition, versions of the catalogue or entries of the log are gone."""
    state = await log.state()
    if state.sequence < sequence:
        raise LostSteps(f"partition {number} is", state.sequence, sequence)
    known = catalogue.chain.head  # read before the await, during which the catalogue may grow
    snapshot, _ = await log.snapshot()
    check_head(catalogue, known, snapshot.catalogue, snapshot.versions)
    check_snapshot(snapshot, intake.read_to, intake.read)
