"""Loads and runs the Lua scripts of the store. Each script documents its keys, arguments and replies.

The server can lose its script cache (restart, failover, flush), so any call may have to send the text again.
"""

from collections.abc import Sequence
from hashlib import sha1
from importlib.resources import files

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

Argument = str | bytes | int


class Script:
    """A script: `Script("deliveries/write")` is the file `store/deliveries/write.lua`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = files("witnd.store").joinpath(f"{name}.lua").read_text(encoding="utf-8")
        self.sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, client: Redis, keys: Sequence[str], args: Sequence[Argument]) -> object:
        """Run the script and return its reply. Raises the errors of redis-py."""
        try:
            return await client.evalsha(self.sha, len(keys), *keys, *args)
        except NoScriptError:
            return await client.eval(self.text, len(keys), *keys, *args)
