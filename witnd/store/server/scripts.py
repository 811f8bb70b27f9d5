"""Lua scripts, kept beside this module as `<name>.lua`, each with its contract on top.

The server's script cache is volatile (restart, failover, flush), so every call may have to bring
the text along again; what a script does and refuses is the script's own matter.
"""

from collections.abc import Sequence
from hashlib import sha1
from importlib.resources import files

from redis.asyncio import Redis
from redis.exceptions import NoScriptError

Argument = str | bytes | int


class Script:
    """One script: `Script("deliveries/write")` is the file `outbox_write.lua`."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.text = files("witnd.store").joinpath(f"{name}.lua").read_text(encoding="utf-8")
        self.sha = sha1(self.text.encode(), usedforsecurity=False).hexdigest()

    async def run(self, client: Redis, keys: Sequence[str], args: Sequence[Argument]) -> object:
        """The script's answer. Failures are those of redis-py."""
        try:
            return await client.evalsha(self.sha, len(keys), *keys, *args)
        except NoScriptError:
            return await client.eval(self.text, len(keys), *keys, *args)
