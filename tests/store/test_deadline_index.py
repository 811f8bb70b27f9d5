"""The sorted set of deadlines is rebuilt from the records, in a number of calls that does not follow their number."""

import asyncio
from pathlib import Path
from typing import Any

from tests.support.deployment import Deployment
from tests.support.server import Server
from witnd.endpoint import endpoint
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.log.reader import Log
from witnd.store.partition.deadline_index import rebuild_deadlines

KEYS = Keys("witn", 0)
MANY = 40


def rebuild(server: Server, open_outcomes: int) -> int:
    async def run() -> int:
        store = Log(endpoint(server.url), KEYS, GlobalKeys("witn"), "test")
        try:
            return await rebuild_deadlines(store, open_outcomes, "")
        finally:
            store.close()

    return asyncio.run(run())


def calls(server: Server) -> int:
    with server.sync() as client:
        found: Any = client.info("commandstats")
    return sum(found.get(f"cmdstat_{name}", {}).get("calls", 0) for name in ("zadd", "zrem", "mget"))


def test_missing_deadlines_come_back_and_strays_go(redis_url: str, session_server: Server, tmp_path: Path) -> None:
    deployment = Deployment(session_server, tmp_path)
    deployment.apply()
    for number in range(MANY):
        deployment.event(f"ticket-{number:04}", "rated", at="*", agent_key="patient")
    deployment.work()
    with session_server.sync() as client:
        due = client.zrange(KEYS.due, 0, -1, withscores=True)
        assert len(due) == MANY
        client.zrem(KEYS.due, *[f"ticket-{number:04}" for number in range(30)])
        client.zadd(KEYS.due, {f"stray-{number:04}": number for number in range(700)})
    before = calls(session_server)
    assert rebuild(session_server, MANY) == 30 + 700
    assert calls(session_server) - before < 12
    with session_server.sync() as client:
        assert client.zrange(KEYS.due, 0, -1, withscores=True) == due
    assert rebuild(session_server, MANY) == 0
