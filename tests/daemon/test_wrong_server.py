"""Servers that witnd cannot work with, and logins that fail: exit 3 with the true remedy, and never a traceback."""

import socket
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from threading import Thread

import pytest

from tests.support.daemon import Daemon
from tests.support.processes import until
from tests.support.resp import FakeServer, with_info
from tests.support.server import Server, free_port
from witnd.store.server.embedded import server_binary

StartServer = Callable[..., Server]
COMMANDS = (
    ("tokens", "create", "test", "--scope", "admin"),
    ("apply", "catalogue.toml"),
    ("send", "ticket-0001", "resolved", "--customer", "acme"),
    ("outcomes",),
    ("audit",),
    ("explain", "ticket-0001"),
    ("doctor",),
)


def check_all_refuse(daemon: Daemon, says: str) -> None:
    catalogue = daemon.state_dir.with_suffix(".toml")
    catalogue.write_text("customers = []\n")
    daemon.start()
    assert daemon.exit_code() == 3
    assert says in daemon.log
    assert "Traceback" not in daemon.log
    for words in COMMANDS:
        done = daemon.witnd(*(str(catalogue) if word == "catalogue.toml" else word for word in words))
        shown = " ".join((done.stdout + done.stderr).split())
        assert done.returncode == 3, (words, shown)
        assert says in shown, (words, shown)
        assert "Traceback" not in shown


def test_a_node_of_a_cluster_is_refused_by_all(server: StartServer, short_dir: Path) -> None:
    redis = server(extra=("--cluster-enabled", "yes", "--cluster-require-full-coverage", "no"))
    check_all_refuse(Daemon(redis, short_dir / "state"), "cluster-enabled")


@pytest.mark.slow
def test_a_server_that_is_too_old_is_refused_by_all(server: StartServer, short_dir: Path) -> None:
    redis = server()
    with FakeServer(redis.socket, short_dir / "old.sock") as old:
        old.change = with_info(redis_version="6.2.14", valkey_version="")
        check_all_refuse(Daemon(old.url, short_dir / "state"), "7.0")
    assert redis.call("DBSIZE") == 0


@pytest.mark.slow
@pytest.mark.parametrize("database", ["0", "3"])
def test_a_sentinel_is_refused_by_all(short_dir: Path, database: str) -> None:
    port = free_port()
    settings = short_dir / "sentinel.conf"
    settings.write_text(f"port {port}\ndir {short_dir}\n")
    sentinel = subprocess.Popen([str(server_binary()), str(settings), "--sentinel"], stdout=subprocess.DEVNULL)
    try:
        until(lambda: listens(port), "the Sentinel listens")
        check_all_refuse(Daemon(f"redis://127.0.0.1:{port}/{database}", short_dir / "state"), "Sentinel")
    finally:
        sentinel.kill()
        sentinel.wait()


def listens(port: int) -> bool:
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


def test_a_sentinel_of_redis_is_refused_by_its_own_name_of_the_mode(server: StartServer, short_dir: Path) -> None:
    redis = server()
    with FakeServer(redis.socket, short_dir / "s.sock") as sentinel:
        sentinel.change = with_info(redis_mode="sentinel", server_mode="")
        daemon = Daemon(sentinel.url, short_dir / "state")
        daemon.start()
        assert daemon.exit_code() == 3
        assert "Sentinel" in daemon.log


@pytest.mark.parametrize("scheme", ["redis", "rediss"])
def test_tls_on_one_side_only_is_named_as_a_possible_reason(server: StartServer, short_dir: Path, scheme: str) -> None:
    port = free_port()
    if scheme == "rediss":
        server(extra=("--port", str(port)))
    with no_redis(port) if scheme == "redis" else nullcontext():
        daemon = Daemon(f"{scheme}://127.0.0.1:{port}/0", short_dir / "state")
        done = daemon.witnd("tokens", "list")
        assert done.returncode == 3
        assert ("use redis://" if scheme == "rediss" else "use rediss://") in done.stderr
        assert "Traceback" not in done.stderr


@contextmanager
def no_redis(port: int) -> Iterator[None]:
    """Answers whatever comes with the alert that a TLS server sends."""

    def serve() -> None:
        with suppress(OSError):
            while True:
                client, _ = listener.accept()
                client.recv(1000)
                client.sendall(b"\x15\x03\x03\x00\x02\x02\x0a")
                client.close()

    with socket.create_server(("127.0.0.1", port)) as listener:
        Thread(target=serve, daemon=True).start()
        yield
        listener.shutdown(socket.SHUT_RDWR)


@pytest.mark.slow
def test_a_database_that_the_server_does_not_have_is_refused(server: StartServer, short_dir: Path) -> None:
    daemon = Daemon(f"{server().url}?db=99", short_dir / "state")
    check_all_refuse(daemon, "no database with this number")


def test_a_database_of_a_cluster_is_refused(server: StartServer, short_dir: Path) -> None:
    redis = server(extra=("--cluster-enabled", "yes"))
    daemon = Daemon(f"{redis.url}?db=3", short_dir / "state")
    daemon.start()
    assert daemon.exit_code() == 3
    assert "cluster" in daemon.log or "no database" in daemon.log  # a newer Valkey lets nodes have several


def test_a_command_that_was_renamed_is_named(server: StartServer, short_dir: Path) -> None:
    redis = server(extra=("--rename-command", "EVALSHA", ""))
    with Daemon(redis, short_dir / "state") as daemon:
        assert daemon.exit_code() == 3
        assert "a command that witnd needs" in daemon.log
        assert "Traceback" not in daemon.log


def protected(server: StartServer, password: str) -> Server:
    redis = server(extra=("--requirepass", password), wait=False)
    until(redis.socket.exists, "the server listens")
    return redis


def rotate(redis: Server, old: str, new: str) -> None:
    """Change the password, and close all connections."""
    with redis.sync(old) as client:
        client.execute_command("CONFIG", "SET", "requirepass", new)
        client.execute_command("CLIENT", "KILL", "TYPE", "normal", "SKIPME", "yes")


def test_a_password_that_was_rotated_is_read_again_at_the_next_login(server: StartServer, short_dir: Path) -> None:
    """First the server and then the file: what the daemon says meanwhile names the file and the server's words."""
    redis = protected(server, "first")
    file = short_dir / "password"
    file.write_text("first\n")
    with Daemon(redis, short_dir / "state", redis__password_file=str(file)) as daemon:
        daemon.says("daemon.ready")
        token = daemon.token()
        rotate(redis, "first", "second")
        daemon.says("redis.waiting")
        until(lambda: "invalid username-password pair" in daemon.log, "the server's words are in the log")
        reasons = [line["reason"] for line in daemon.lines("redis.waiting")]
        assert any(str(file) in reason and "invalid username-password pair" in reason for reason in reasons)

        file.write_text("second\n")
        until(lambda: daemon.get("/v1/outcomes", token)[0] == 200, "the API answers", seconds=60)
        until(lambda: daemon.get("/readyz")[0] == 200, "the daemon is ready", seconds=60)


@pytest.mark.slow
def test_a_systemd_credential_is_read_again_too(server: StartServer, short_dir: Path) -> None:
    redis = protected(server, "first")
    folder = short_dir / "credentials"
    folder.mkdir()
    (folder / "pw").write_text("first")
    daemon = Daemon(redis, short_dir / "state", redis__password_file="credential:pw")
    daemon.environ["CREDENTIALS_DIRECTORY"] = str(folder)
    with daemon:
        daemon.says("daemon.ready")
        token = daemon.token()
        (folder / "pw").write_text("second")
        rotate(redis, "first", "second")
        until(lambda: daemon.get("/v1/outcomes", token)[0] == 200, "the API answers", seconds=60)


@pytest.mark.slow
def test_a_password_that_the_server_no_longer_has_is_said_and_waited_for(server: StartServer, short_dir: Path) -> None:
    redis = protected(server, "first")
    file = short_dir / "password"
    file.write_text("first\n")
    with Daemon(redis, short_dir / "state", redis__password_file=str(file)) as daemon:
        daemon.says("daemon.ready")
        rotate(redis, "first", "")
        until(lambda: "Redis has no password" in daemon.log, "the reason is in the log")
        assert "Traceback" not in daemon.log
        doctor = daemon.witnd("doctor")
        assert doctor.returncode == 3
        assert "Redis has no password" in " ".join(doctor.stdout.split())
        redis.call("CONFIG", "SET", "requirepass", "first")
        until(lambda: daemon.get("/readyz")[0] == 200, "the daemon goes on", seconds=60)


@pytest.mark.parametrize("url", ["redis://a..b/0", "redis://h/2?db=", "redis://h?db=1&db=2", "redis://127.1/0"])
def test_an_address_without_one_meaning_is_a_mistake_in_the_configuration(short_dir: Path, url: str) -> None:
    with Daemon(url, short_dir / "state") as daemon:
        assert daemon.exit_code() == 2
        assert "WITND_REDIS__URL" in daemon.log
        assert daemon.witnd("tokens", "list").returncode == 2
