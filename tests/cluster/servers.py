"""Clusters and Sentinels on this machine, from the server that `--embedded` starts."""

import signal
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.crc import key_slot
from redis.retry import Retry

from tests.support.processes import DEADLINE, until
from tests.support.server import Server, free_port
from witnd.store.server.embedded import server_binary

SLOTS = 16384
FAST_REPLICATION = ("--repl-diskless-sync-delay", "0", "--repl-ping-replica-period", "1")


class Node(Server):
    """A server that listens on a port, with further settings."""

    def __init__(self, directory: Path, *extra: str, environ: Mapping[str, str] | None = None) -> None:
        directory.mkdir()
        self.port = free_port()
        listen = ("--port", str(self.port), "--bind", "127.0.0.1")
        super().__init__(directory, extra=(*listen, *FAST_REPLICATION, *extra), environ=environ)

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    @property
    def is_running(self) -> bool:
        return self._process is not None

    def info(self, section: str) -> dict[str, Any]:
        with self.sync() as client:
            found: Any = client.info(section)
            return dict(found)

    def role(self) -> str:
        return str(self.info("replication")["role"])

    def is_synced(self) -> bool:
        """A replica that has what its primary has."""
        return self.info("replication").get("master_link_status") == "up"


class Sentinel:
    """A Sentinel that watches one primary, called `main`."""

    def __init__(self, directory: Path, primary: Node, quorum: int, *lines: str) -> None:
        self.port = free_port()
        self._file = directory / f"sentinel-{self.port}.conf"
        wanted = [
            f"port {self.port}",
            "bind 127.0.0.1",
            f'dir "{directory}"',
            f"sentinel monitor main 127.0.0.1 {primary.port} {quorum}",
            "sentinel down-after-milliseconds main 1000",
            "sentinel failover-timeout main 3000",
            *lines,
        ]
        self._file.write_text("\n".join(wanted) + "\n")
        self._process: subprocess.Popen[bytes] | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def start(self) -> None:
        with self._file.with_suffix(".log").open("ab") as log:
            self._process = subprocess.Popen(
                [str(server_binary()), str(self._file), "--sentinel"], stdout=log, stderr=log, stdin=subprocess.DEVNULL
            )
        until(self._answers, "the Sentinel answers")

    def kill(self) -> None:
        if self._process is not None:
            self._process.send_signal(signal.SIGKILL)
            self._process.wait(DEADLINE)
            self._process = None

    def call(self, *words: str) -> Any:
        with _client(self.port) as client:
            return client.execute_command(*words)

    def others(self) -> int:
        """How many other Sentinels it has found."""
        return len(self.call("SENTINEL SENTINELS", "main"))

    def replicas(self) -> int:
        return len(self.call("SENTINEL REPLICAS", "main"))

    def _answers(self) -> bool:
        try:
            self.call("PING")
        except redis.AuthenticationError:
            return True
        except redis.RedisError:
            return False
        return True


class Watched:
    """A primary with a replica, and Sentinels that watch them."""

    def __init__(self, nodes: Sequence[Node], sentinels: Sequence[Sentinel]) -> None:
        self.nodes = nodes
        self.sentinels = sentinels

    @property
    def url(self) -> str:
        return f"redis+sentinel://{','.join(one.address for one in self.sentinels)}/main/0"

    @property
    def primary(self) -> Node:
        return next(node for node in self.nodes if node.is_running and node.role() == "master")

    def named_port(self) -> int:
        """The port of the primary that the first Sentinel names."""
        return int(self.sentinels[0].call("SENTINEL GET-MASTER-ADDR-BY-NAME", "main")[1])


class Cluster:
    """A cluster. The first nodes are primaries at the start, and the others their replicas, in the same order."""

    def __init__(self, nodes: Sequence[Node], primaries: int) -> None:
        self.nodes = nodes
        self.primaries = nodes[:primaries]

    @property
    def url(self) -> str:
        return f"redis+cluster://{','.join(node.address for node in self.nodes[:3])}"

    def owner(self, key: str) -> Node:
        """The primary of a key, as the first running node sees it."""
        return self._seen_by(next(node for node in self.nodes if node.is_running), key)

    def _is_known_everywhere(self, key: str, primary: Node) -> bool:
        return all(self._seen_by(node, key) is primary for node in self.nodes if node.is_running)

    def _seen_by(self, observer: Node, key: str) -> Node:
        slot = key_slot(key.encode())
        for start, end, primary, *_ in slots(observer):
            if start <= slot <= end:
                return next(node for node in self.nodes if node.port == primary[1])
        raise AssertionError(f"the slot {slot} of {key} is not covered")

    def call(self, *words: str | bytes | int, key: str) -> Any:
        """One command at the primary of a key."""
        return self.owner(key).call(*words)

    def move_slot(self, key: str, target: Node) -> None:
        """Move the slot of a key to another primary, key by key, as `redis-cli --cluster reshard` does."""
        source, slot = self.owner(key), key_slot(key.encode())
        self.begin_move(key, target)
        while names := _raw(source, "CLUSTER", "GETKEYSINSLOT", slot, 10):
            _raw(source, "MIGRATE", "127.0.0.1", target.port, "", 0, 5000, "REPLACE", "KEYS", *names)
        for node in (target, source, *(one for one in self.nodes if one.is_running and one.role() == "master")):
            _raw(node, "CLUSTER", "SETSLOT", slot, "NODE", node_id(target))
        until(lambda: self._is_known_everywhere(key, target), f"the slot of {key} is moved")

    def move_slot_at_once(self, key: str, target: Node) -> None:
        """Move the slot of a key in one step, as Valkey 9 does."""
        source, slot = self.owner(key), key_slot(key.encode())
        _raw(source, "CLUSTER", "MIGRATESLOTS", "SLOTSRANGE", slot, slot, "NODE", node_id(target))
        until(lambda: self._is_known_everywhere(key, target), f"the slot of {key} is moved")

    def begin_move(self, key: str, target: Node) -> None:
        """From here on, the old primary serves only keys that it still has."""
        source, slot = self.owner(key), key_slot(key.encode())
        _raw(target, "CLUSTER", "SETSLOT", slot, "IMPORTING", node_id(source))
        _raw(source, "CLUSTER", "SETSLOT", slot, "MIGRATING", node_id(target))

    def replica_of(self, primary: Node) -> Node:
        """A running replica of a primary."""
        return next(
            node
            for node in self.nodes
            if node.is_running and (info := node.info("replication"))["role"] == "slave"
            if info["master_port"] == primary.port
        )

    def fail_over(self, key: str) -> Node:
        """Let a replica take over from a primary that lives on, as before its maintenance. The new primary."""
        old = self.owner(key)
        new = self.replica_of(old)
        _raw(new, "CLUSTER", "FAILOVER")
        until(lambda: self.owner(key) is new, f"the primary of {key} is another one")
        return new

    def is_healthy(self) -> bool:
        """Every running node sees all slots served."""
        return all(b"cluster_state:ok" in _raw(node, "CLUSTER", "INFO") for node in self.nodes if node.is_running)

    def is_synced(self) -> bool:
        return all(node.is_synced() for node in self.nodes if node.is_running and node.role() == "slave")


def slots(node: Node) -> list[Any]:
    found: list[Any] = _raw(node, "CLUSTER", "SLOTS")
    return found


def node_id(node: Node) -> str:
    found: bytes = _raw(node, "CLUSTER", "MYID")
    return found.decode()


def _raw(node: Node, *words: str | bytes | int) -> Any:
    """A reply as it is on the wire: redis-py gives those about clusters another form."""
    with node.sync() as client:
        client.response_callbacks.clear()
        return client.execute_command(*words)


def _client(port: int) -> redis.Redis:
    return redis.Redis(port=port, retry=Retry(NoBackoff(), 0), protocol=2, socket_timeout=5)


@contextmanager
def cluster(
    directory: Path,
    *,
    primaries: int = 3,
    replicas: bool = True,
    covered: int = SLOTS,
    environ: Mapping[str, str] | None = None,
) -> Iterator[Cluster]:
    """Start a cluster, and wait until it is healthy. `environ` is that of the replicas."""
    with ExitStack() as stack:
        nodes = []
        for number in range(primaries * (2 if replicas else 1)):
            bus = free_port()
            node = Node(
                directory / str(number),
                *("--cluster-enabled", "yes", "--cluster-port", str(bus), "--cluster-node-timeout", "1500"),
                *("--cluster-allow-replica-migration", "no", "--cluster-announce-ip", "127.0.0.1"),
                environ=environ if number >= primaries else None,
            )
            stack.callback(node.close)
            node.start()
            nodes.append(node)
            _raw(nodes[0], "CLUSTER", "MEET", "127.0.0.1", node.port, bus)
        made = Cluster(nodes, primaries)
        until(lambda: all(_known(node) == len(nodes) for node in nodes), "the nodes know each other", seconds=60)
        for number, node in enumerate(made.primaries):
            start, end = covered * number // primaries, covered * (number + 1) // primaries - 1
            _raw(node, "CLUSTER", "ADDSLOTSRANGE", start, end)
        for number, node in enumerate(nodes[primaries:]):
            _raw(node, "CLUSTER", "REPLICATE", node_id(made.primaries[number]))
        if covered == SLOTS:
            until(made.is_healthy, "the cluster is healthy", seconds=60)
            until(made.is_synced, "the replicas are in sync", seconds=60)
        yield made


def _known(node: Node) -> int:
    lines = _raw(node, "CLUSTER", "INFO").decode().splitlines()
    return int(next(line.partition(":")[2] for line in lines if line.startswith("cluster_known_nodes")))


@contextmanager
def watched(directory: Path, *, sentinels: int = 1, lines: Sequence[str] = ()) -> Iterator[Watched]:
    """Start a primary, a replica and Sentinels, and wait until these know each other."""
    with ExitStack() as stack:
        primary = Node(directory / "primary")
        replica = Node(directory / "replica", "--replicaof", f"127.0.0.1 {primary.port}")
        for node in (primary, replica):
            stack.callback(node.close)
            node.start()
        until(replica.is_synced, "the replica is in sync", seconds=60)
        found = [Sentinel(directory, primary, sentinels // 2 + 1, *lines) for _ in range(sentinels)]
        for one in found:
            stack.callback(one.kill)
            one.start()
        if not lines:
            until(
                lambda: all(one.others() == sentinels - 1 and one.replicas() == 1 for one in found),
                "the Sentinels know each other and the replica",
                seconds=60,
            )
        yield Watched([primary, replica], found)
