"""Finds the primary of a hash slot: a single server, the one that Sentinels name, or a node of a cluster.

The result is cached, and looked up again after an error. A node or Sentinel that did not answer is queried last from
then on.
"""

import asyncio
from collections.abc import Collection, Iterable, Sequence
from typing import Any, Final
from weakref import WeakKeyDictionary

import hiredis

from witnd.endpoint import Endpoint, Node, node_text
from witnd.store.errors import Moving, StoreRefused, StoreUnavailable, Unsafe
from witnd.store.server import wire
from witnd.store.server.connection import NOT_A_CLUSTER, NOT_A_SENTINEL, SENTINEL, refusal, server_error
from witnd.store.server.login import login_refusal

ANSWER_SECONDS: Final = 3.0
# The least time between two lookups. In a failover, many connections fail at once; they share a lookup.
PAUSE_SECONDS: Final = 0.1
SLOTS: Final = 16384
_NAME: Final = "witnd-topology"


class Topology:
    """The primaries of one address. `primary` may raise `StoreUnavailable` or `StoreRefused`."""

    def __init__(self, server: Endpoint) -> None:
        self._server = server
        self._ranges: list[tuple[int, int, Node]] = []  # as last found
        self._is_stale = True
        self._forgotten = self._lookups = 0  # how often
        self._failed: Exception | None = None  # of the last lookup
        self._found_at = float("-inf")
        self._known: list[Node] = list(server.nodes)  # the nodes to ask, in this order
        self._looking_up = asyncio.Lock()

    @property
    def is_cluster(self) -> bool:
        return self._server.mode == "cluster"

    async def primary(self, slot: int) -> Endpoint:
        """Return the endpoint of the primary of a slot."""
        if self._server.mode == "single":
            return self._server
        try:
            return self._server.server(self._find(slot, await self._cached()))
        except Unsafe as mistake:  # while witnd runs, it can be repaired
            raise StoreRefused(mistake.reason, mistake.remedy) from mistake

    async def check(self, slots: Iterable[int]) -> list[Endpoint]:
        """Look up the primaries of these slots. Raises `Unsafe` if the address is wrong, or a slot has no primary."""
        if self._server.mode == "single":
            return [self._server]
        self._is_stale, self._found_at = True, float("-inf")
        ranges = await self._cached()
        return [self._server.server(node) for node in dict.fromkeys(self._find(slot, ranges) for slot in slots)]

    def forget(self, server: Endpoint | None = None) -> None:
        """Look up the primaries again at the next call. `server`: the one that failed, which is queried last."""
        self._is_stale = True
        self._forgotten += 1
        if server is not None and self.is_cluster:
            self._ask_last([(server.host or "", server.port)])

    def _ask_last(self, nodes: Collection[Node]) -> None:
        self._known.sort(key=lambda one: one in nodes)

    def _find(self, slot: int, ranges: Sequence[tuple[int, int, Node]]) -> Node:
        for start, end, node in ranges:
            if start <= slot <= end:
                return node
        missing = SLOTS - sum(end - start + 1 for start, end, _ in ranges)
        raise Unsafe(
            f"{self._server} is a cluster with uncovered slots: {missing} of {SLOTS} have no primary",
            "assign them with CLUSTER ADDSLOTSRANGE, or restore the nodes that had them",
        )

    async def _cached(self) -> list[tuple[int, int, Node]]:
        if not self._is_stale:
            return self._ranges
        lookups = self._lookups
        async with self._looking_up:
            if self._is_stale:
                if self._lookups > lookups and self._failed is not None:
                    raise self._failed  # of the lookup that this call has waited for
                await self._look_up()
            return self._ranges

    async def _look_up(self) -> None:
        loop = asyncio.get_running_loop()
        if (wait := self._found_at + PAUSE_SECONDS - loop.time()) > 0:
            await asyncio.sleep(wait)
        # Other calls wait: what was found before may be empty, or what has just failed.
        forgotten, self._failed = self._forgotten, None
        try:
            self._ranges = await (self._ask_cluster() if self.is_cluster else self._ask_sentinels())
        except Exception as error:
            self._failed = error
            raise
        finally:
            self._lookups += 1
        self._found_at = loop.time()
        # An error during the lookup makes it stale again.
        self._is_stale = self._forgotten > forgotten

    # -- cluster ---------------------------------------------------------------------------------------------------

    async def _ask_cluster(self) -> list[tuple[int, int, Node]]:
        """Return the ranges of slots, from the first node that considers the cluster healthy, or else from the first
        that answers."""
        failed: dict[Node, Exception] = {}
        found: list[tuple[int, int, Node]] | None = None
        for node in list(self._known):
            try:
                ranges, nodes, healthy = await self._ask_node(node)
            except (StoreUnavailable, StoreRefused, Unsafe) as error:
                failed[node] = error
                continue
            found = found or ranges
            if healthy:
                found = ranges
                self._known = list(dict.fromkeys([*(one for one in self._known if one in nodes), *nodes]))
                # The addresses of the configuration remain known: nodes may be replaced one after the other.
                self._known += [one for one in self._server.nodes if one not in self._known]
                break
        self._ask_last(failed)
        if found is None:
            raise self._failure(failed)
        return found

    async def _ask_node(self, node: Node) -> tuple[list[tuple[int, int, Node]], list[Node], bool]:
        server = self._server.server(node)
        rows, info = await _ask(server, ("CLUSTER", "SLOTS"), ("CLUSTER", "INFO"))
        for reply in (rows, info):
            _raise_error(server, reply)
        ranges, nodes = [], []
        for start, end, *members in rows:
            found = [_node_of(member, node) for member in members]
            ranges.append((start, end, found[0]))
            nodes += found
        return ranges, list(dict.fromkeys(nodes)), b"cluster_state:ok" in info

    # -- sentinels -------------------------------------------------------------------------------------------------

    async def _ask_sentinels(self) -> list[tuple[int, int, Node]]:
        """Return the primary that a Sentinel names, once that server confirms its role."""
        failed: dict[Node, Exception] = {}
        for node in list(self._known):
            try:
                primary = await self._ask_sentinel(node)
                await _check_role(self._server.server(primary))
            except (StoreUnavailable, StoreRefused, Unsafe) as error:
                failed[node] = error
                continue
            self._ask_last(failed)
            return [(0, SLOTS - 1, primary)]
        raise self._failure(failed)

    async def _ask_sentinel(self, node: Node) -> Node:
        sentinel, service = self._server.sentinel(node), self._server.service or ""
        [reply] = await _ask(sentinel, ("SENTINEL", "GET-MASTER-ADDR-BY-NAME", service))
        _raise_error(sentinel, reply)
        if reply is None:
            raise Unsafe(
                f"the Sentinel {node_text(node)} watches no primary called {service!r}",
                "correct the name after the hosts in redis.url; SENTINEL MASTERS lists the names",
            )
        host, port = reply
        return host.decode(), int(port)

    def _failure(self, failed: dict[Node, Exception]) -> Exception:
        """Return the error that an operator can act on: a mistake, then a refusal, then silence."""
        for kind in (Unsafe, StoreRefused):
            for error in failed.values():
                if isinstance(error, kind):
                    return error
        reasons = "; ".join(f"{node_text(node)}: {error}" for node, error in failed.items())
        return StoreUnavailable(f"none of the addresses of {self._server} answers correctly ({reasons})")


_topologies: WeakKeyDictionary[asyncio.AbstractEventLoop, dict[Endpoint, Topology]] = WeakKeyDictionary()


def topology_of(server: Endpoint) -> Topology:
    """Return the topology of an address, which all connections of a process share."""
    known = _topologies.setdefault(asyncio.get_running_loop(), {})
    return known.setdefault(server, Topology(server))


def is_replica(reply: object) -> bool:
    """Return whether a reply to ROLE is that of a replica. A user may lack the permission; then the role is unknown."""
    return isinstance(reply, list) and reply[0] != b"master"


def replica_refusal(server: Endpoint) -> Moving:
    """Return the refusal for a server that is not the primary any more."""
    reason = f"{server} is a replica, although the cluster or a Sentinel names it as the primary"
    return Moving(reason, "wait until the failover has finished")


async def _check_role(server: Endpoint) -> None:
    [reply] = await _ask(server, ("ROLE",))
    if is_replica(reply):
        raise replica_refusal(server)


async def _ask(server: Endpoint, *commands: Sequence[str]) -> list[Any]:
    """Run commands on a connection of their own. Errors are returned in place."""
    connection = await wire.connect(server, _NAME)
    try:
        return await connection.run(commands, ANSWER_SECONDS)
    finally:
        connection.close()


def _raise_error(server: Endpoint, reply: object) -> None:
    if not isinstance(reply, hiredis.ReplyError):
        return
    text = str(reply)
    if server.is_sentinel and "unknown command" in text:
        raise Unsafe(f"{server.host}:{server.port} {NOT_A_SENTINEL[0]}", NOT_A_SENTINEL[1])
    if "cluster support disabled" in text:
        raise Unsafe(f"{server.host}:{server.port} {NOT_A_CLUSTER[0]}", NOT_A_CLUSTER[1])
    if "unknown command" in text and "CLUSTER" in text.upper():
        raise Unsafe(*SENTINEL)
    raise login_refusal(server, text) or refusal(text) or server_error(text)


def _node_of(member: Sequence[Any], source: Node) -> Node:
    """Return host and port of a node. An unknown host means that of `source`, the node that replied."""
    host = member[0].decode() if member[0] else ""
    return (source[0] if host in ("", "?") else host), int(member[1])
