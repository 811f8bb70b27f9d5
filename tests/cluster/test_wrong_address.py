"""Addresses that do not fit the servers: exit 3 with the form to write, from the daemon and every command."""

from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from tests.cluster.servers import Cluster, Watched, cluster, watched
from tests.support.daemon import Daemon
from tests.support.processes import until
from tests.support.server import Server, free_port

StartServer = Callable[..., Server]
COMMANDS = (("tokens", "create", "test", "--scope", "admin"), ("outcomes",), ("audit",), ("doctor",))


@pytest.fixture
def one_sentinel(short_dir: Path) -> Iterator[Watched]:
    with watched(short_dir) as found:
        yield found


@pytest.fixture
def half_covered(short_dir: Path) -> Iterator[Cluster]:
    with cluster(short_dir, replicas=False, covered=8192) as found:
        yield found


def check_refused(url: str, directory: Path, *says: str, commands: bool = True, **settings: str) -> None:
    with Daemon(url, directory / "state", **settings) as daemon:
        assert daemon.exit_code() == 3
        shown = [daemon.log, *(_shown(daemon, words) for words in (COMMANDS if commands else ()))]
    for text in shown:
        assert all(one in text for one in says), text
        assert "Traceback" not in text


def _shown(daemon: Daemon, words: tuple[str, ...]) -> str:
    done = daemon.witnd(*words)
    shown = " ".join((done.stdout + done.stderr).split())
    assert done.returncode == 3, (words, shown)
    return shown


@pytest.mark.parametrize(
    "url",
    [
        "redis+cluster://127.0.0.1:7000/2",
        "redis+cluster://127.0.0.1:7000,127.0.0.1:7000",
        "redis+sentinel://127.0.0.1:26379",
        "redis+sentinel://127.0.0.1:26379/0",
        "redis://127.0.0.1:7000,127.0.0.1:7001/0",
    ],
)
def test_a_mistake_in_the_address_is_one_in_the_configuration(short_dir: Path, url: str) -> None:
    with Daemon(url, short_dir / "state") as daemon:
        assert daemon.exit_code() == 2
        assert "WITND_REDIS__URL" in daemon.log


def test_settings_of_sentinels_need_the_address_of_sentinels(server: StartServer, short_dir: Path) -> None:
    with Daemon(server(), short_dir / "state", redis__sentinel_username="witnd") as daemon:
        assert daemon.exit_code() == 2
        assert "redis+sentinel://" in daemon.log


def test_a_single_server_is_no_cluster(server: StartServer, short_dir: Path) -> None:
    port = free_port()
    server(extra=("--port", str(port)))
    check_refused(f"redis+cluster://127.0.0.1:{port}", short_dir, "is not a node of a cluster", "redis://host:port")


def test_a_single_server_is_no_sentinel(server: StartServer, short_dir: Path) -> None:
    port = free_port()
    server(extra=("--port", str(port)))
    check_refused(f"redis+sentinel://127.0.0.1:{port}/main", short_dir, "is not a Redis Sentinel", "26379")


@pytest.mark.slow
def test_the_name_must_be_one_that_the_sentinels_know(one_sentinel: Watched, short_dir: Path) -> None:
    url = one_sentinel.url.replace("/main/", "/other/")
    check_refused(url, short_dir, "watches no primary called 'other'", "SENTINEL MASTERS")


@pytest.mark.slow
def test_a_node_and_a_sentinel_in_other_forms_are_refused_with_the_form_to_write(
    one_sentinel: Watched, short_dir: Path, server: StartServer
) -> None:
    sentinel = one_sentinel.sentinels[0].address
    check_refused(f"redis://{sentinel}/0", short_dir, "Sentinel", "redis+sentinel://")
    check_refused(f"redis+cluster://{sentinel}", short_dir, "Sentinel", "redis+sentinel://")
    port = free_port()
    server(extra=("--port", str(port), "--cluster-enabled", "yes", "--cluster-port", str(free_port())))
    check_refused(f"redis://127.0.0.1:{port}/0", short_dir, "cluster-enabled yes", "redis+cluster://")


@pytest.mark.slow
def test_a_cluster_with_uncovered_slots_is_refused(half_covered: Cluster, short_dir: Path) -> None:
    check_refused(half_covered.url, short_dir, "uncovered slots", "CLUSTER ADDSLOTSRANGE")


@pytest.mark.slow
@pytest.mark.parametrize("form", ["redis+cluster://{}", "redis+sentinel://{}/main"])
def test_the_daemon_waits_for_the_first_address_that_answers(short_dir: Path, form: str) -> None:
    addresses = ",".join(f"127.0.0.1:{free_port()}" for _ in range(2))
    url = form.format(addresses)
    with Daemon(url, short_dir / "state", module="tests.support.short_start_wait") as daemon:
        daemon.says("redis.waiting", doing="starting")
        assert daemon.exit_code() == 3
        assert "none of the addresses" in daemon.log
        assert _shown(daemon, ("outcomes",)).count("none of the addresses") == 1


@pytest.mark.slow
def test_sentinels_have_a_login_of_their_own(short_dir: Path) -> None:
    file = short_dir / "sentinel-password"
    file.write_text("secret\n")
    with watched(short_dir, lines=("requirepass secret",)) as servers:
        check_refused(servers.url, short_dir, "requires authentication", "redis.sentinel_password_file")
        with Daemon(servers.url, short_dir / "state", redis__sentinel_password_file=str(file)) as daemon:
            daemon.says("daemon.ready")


@pytest.mark.slow
def test_a_primary_that_is_not_safe_is_named(short_dir: Path) -> None:
    with cluster(short_dir, replicas=False) as servers:
        unsafe = servers.owner("witn:{0}:state")
        unsafe.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
        check_refused(servers.url, short_dir, "evicts keys", commands=False)
        unsafe.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
        with Daemon(servers.url, short_dir / "state") as daemon:
            daemon.says("daemon.ready")
            assert any("fail over" in line["reason"] for line in daemon.lines("redis.risk"))
            unsafe.call("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
            daemon.says("partition.paused", partition=0)
            unsafe.call("CONFIG", "SET", "maxmemory-policy", "noeviction")
            daemon.says("partition.resumed", partition=0)
            until(lambda: daemon.get("/readyz")[0] == 200, "the daemon is ready")
