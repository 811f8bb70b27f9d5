"""Reading the data of cold keys, together with the state of the log."""

import pytest

from tests.support.server import Server
from witnd.endpoint import endpoint
from witnd.fold.hold import Damage
from witnd.store.keys import GlobalKeys, Keys
from witnd.store.log.reader import Log

KEYS = Keys("witn", 0)

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize("index", [KEYS.keys, KEYS.held, KEYS.with_status("CONFIRMED"), KEYS.with_status("FAILED")])
@pytest.mark.parametrize("place", [0, 249], ids=["in the first request", "in a later one"])
async def test_an_indexed_key_without_a_record_is_damaged_and_a_new_one_is_not(
    redis_url: str, session_server: Server, index: str, place: int
) -> None:
    """Whichever index has it, and however many keys are read together: else it could be billed again."""
    names = [f"ticket-{number:04}" for number in range(250)]
    session_server.call("XADD", KEYS.events, "1-0", "witnd", "tick")
    session_server.call("ZADD", index, 1, names[place])
    log = Log(endpoint(redis_url), KEYS, GlobalKeys("witn"), "test")
    try:
        assert log._records.size < len(names)
        _, stored = await log.snapshot(names)
    finally:
        log.close()
    damaged = {key: record.reason for key, record, *_ in stored if isinstance(record, Damage)}
    assert damaged == {names[place]: "its record is missing"}
    assert [key for key, *_ in stored] == names
