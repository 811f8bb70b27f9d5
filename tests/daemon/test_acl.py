"""The documented users of Redis have the rights they need, and no others: everything runs under exactly them.

The flows cannot reach every command, so the commands are also read from the source: those of the scripts, words that
are names of commands, and methods of Redis clients.
"""

import ast
import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.support.daemon import CATALOGUE, Daemon, event, rule
from tests.support.server import Server
from witnd.client import RedisSender
from witnd.doctor.probe import commands
from witnd.settings import Durability
from witnd.store.keys import GlobalKeys, Keys

ROOT = Path(__file__).parents[2]
PASSWORD = "sesame"


# A word is a command of the server, but here it is the name of an error or a method of something else.
NO_COMMANDS = {"readonly", "shutdown"}
# Always allowed.
WITHOUT_RIGHTS = {"auth"}
METHODS = {"delete": "del", "xinfo_stream": "xinfo|stream", "pubsub": "subscribe", "config_get": "config|get"}
CLIENTS = re.compile(r"(client|channels|pipeline|reads|asked|counts|writes|redis|step)$")
# Sent by redis-py: the name of the library, a sign of life, the end of a subscription.
OF_THE_LIBRARY = {"client|setinfo", "ping", "unsubscribe"}
# What doctor runs anyway, or notices otherwise, or what works without: names of connections, the database of the URL,
# the durability that is not configured, the demo.
UNASKED = {"acl", "client", "config", "info", "ping", "scard", "select", "unsubscribe", "wait", "waitaof"}
# What finds the primary behind Sentinels and in a cluster; a sentence of the documentation adds them.
ROUTING = {"cluster|info", "cluster|slots", "role"}
# What only `witnd doctor` needs, and its documentation says so.
OPTIONAL = {"acl|dryrun"}


def source_commands(known: set[str]) -> set[str]:
    """The commands that the source names. `known` are those of the server, `command|sub` for subcommands."""
    containers = {name.partition("|")[0] for name in known if "|" in name}
    found: set[str] = set()

    def add(name: str, following: str | None) -> None:
        name = name.lower()
        sub = f"{name}|{(following or '').lower()}"
        if name in containers:
            found.update({sub} & known)
        elif name in known:
            found.add(name)

    for path in (ROOT / "witnd").rglob("*.lua"):
        for name, following in re.findall(r"redis\.p?call\('(\w+)'(?:, '(\w+)')?", path.read_text()):
            add(name, following)
    for path in (ROOT / "witnd").rglob("*.py"):
        text = path.read_text()
        for name, following in re.findall(r"redis\.p?call\('(\w+)'(?:, '(\w+)')?", text):
            add(name, following)
        for node in ast.walk(ast.parse(text)):
            if (
                isinstance(node, ast.Call)
                and isinstance(node.func, ast.Attribute)
                and CLIENTS.search(ast.unparse(node.func.value))
            ):
                found.update({METHODS.get(node.func.attr, node.func.attr)} & known)
            if isinstance(node, ast.Tuple | ast.Call):
                parts = node.elts if isinstance(node, ast.Tuple) else node.args
                words = [one.value if isinstance(one, ast.Constant) else None for one in parts]
                for word, following in zip(words, [*words, None][1:], strict=True):
                    if isinstance(word, str) and word.isupper():
                        add(word, following if isinstance(following, str) else None)
    return found - NO_COMMANDS - WITHOUT_RIGHTS


def documented_commands(name: str) -> list[str]:
    return re.findall(r" \+(\S+)", documented_line(name))


def documented_line(name: str) -> str:
    text = (ROOT / "docs/how-to/run-in-production.md").read_text()
    found = re.search(rf"^(ACL SETUSER {name} .*)$", text, re.MULTILINE)
    assert found is not None
    return found[1]


def server_commands(server: Server) -> set[str]:
    """With subcommands as `command|sub`."""
    with server.sync() as client:
        names = {str(one, "ascii") if isinstance(one, bytes) else one for one in client.command_list()}
        infos = client.execute_command("COMMAND", "INFO", *sorted(names))
    return names | {sub[0].decode() for info in infos.values() for sub in info["subcommands"]}


def test_the_documented_commands_are_those_that_the_source_sends(session_server: Server) -> None:
    wanted = source_commands(server_commands(session_server)) - OPTIONAL - ROUTING | OF_THE_LIBRARY
    assert documented_commands("witnd") == sorted(wanted), " ".join(f"+{one}" for one in sorted(wanted))
    assert "-@all" in documented_line("witnd")
    text = (ROOT / "docs/how-to/run-in-production.md").read_text()
    assert (
        f"also needs `{' '.join(f'+{one}' for one in sorted(ROUTING, key=lambda one: (one != 'role', one)))}`" in text
    )


def test_no_documented_command_is_dangerous_but_those_that_tell_settings(session_server: Server) -> None:
    dangerous = {one for kind in ("dangerous", "admin") for one in session_server.call("ACL CAT", kind)}
    assert {one for one in documented_commands("witnd") if one in dangerous} == {"config|get", "info"}
    assert not {one for one in documented_commands("app") if one in dangerous}


def test_doctor_asks_for_the_documented_commands() -> None:
    for mode in ("server", "fsync", "replica"):
        wanted = commands(Keys("witn", 0), GlobalKeys("witn"), Durability(mode, 1))
        asked = {str(one[0]).lower() for one in wanted}
        documented = {one.partition("|")[0] for one in documented_commands("witnd")}
        assert asked <= documented
        assert documented - asked <= UNASKED


def documented_user(server: Server, name: str) -> str:
    """The address of the server for a user with exactly the rights that the documentation gives it."""
    server.call(*documented_line(name).replace("PASSWORD", PASSWORD).split())
    return f"unix://{name}:{PASSWORD}@{server.socket}"


def denied(server: Server) -> list[Any]:
    """What the server has denied to anybody, but for the question of `witnd doctor` what it may do."""
    log: Any = server.call("ACL", "LOG")
    entries = [dict(zip(one[::2], one[1::2], strict=True)) for one in log]
    return [one for one in entries if not one[b"object"].startswith(b"acl")]


def test_the_documented_rights_of_the_daemon_suffice(server: Callable[..., Server], short_dir: Path) -> None:
    redis = server()
    url = documented_user(redis, "witnd")
    settings = {"redis__url": url, "billing__period": "day", "webhooks__allow_networks": "127.0.0.0/8"}
    with Daemon(redis, short_dir / "state", **settings) as daemon:
        daemon.begins(CATALOGUE + rule("http://127.0.0.1:9/hook"))
        token = daemon.token()
        sent = event("ticket-0001")
        assert daemon.request("POST", "/v1/events", sent, token)[0] == 202
        batch = {"events": [sent | {"customer_key": "new"}]}
        assert daemon.request("POST", "/v1/events/batch", batch, token)[0] == 202
        assert daemon.request("POST", "/v1/customers", {"key": "new", "rate_card": "standard"}, token)[0] == 201
        assert daemon.request("POST", "/v1/tokens", {"name": "t", "scopes": ["read"]}, token)[0] == 201
        daemon.settles(1)
        daemon.says("delivery.attempted")
        for path in ("outcomes", "events?fate=applied", "deliveries", "invoices", "changes", "problems", "overview"):
            status, body = daemon.get(f"/v1/{path}", token)
            assert status in (200, 400), (path, body)
        for words in (("audit",), ("outcomes",), ("invoices",), ("deliveries",), ("tokens", "list"), ("events",)):
            done = daemon.witnd(*words)
            assert done.returncode == 0, (words, done.stdout, done.stderr)
        daemon.witnd("doctor")
        assert daemon.get("/metrics")[0] == 200
        assert denied(redis) == []
        assert "NOPERM" not in daemon.log


def test_the_documented_rights_of_an_application_suffice(server: Callable[..., Server], short_dir: Path) -> None:
    redis = server()
    with Daemon(redis, short_dir / "state", redis__partitions="3") as daemon:
        daemon.says("daemon.ready")
        with RedisSender(documented_user(redis, "app")) as sender:
            sent = sender.send_batch({"key": f"ticket-{n}", "action": "a", "customer_key": "c"} for n in range(20))
        assert {one.partition for one in sent} == {0, 1, 2}
    assert denied(redis) == []
