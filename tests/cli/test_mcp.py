"""`witnd mcp` before it speaks: where the API is, and the token."""

import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner, Result

from witnd.cli.main import main

TOKEN = "wn_0123456789ab_secret"


def witnd(*arguments: str, **environ: str) -> Result:
    return CliRunner().invoke(main, ["mcp", *arguments], env=environ)


@pytest.fixture
def built(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The clients that a server would be built over; none is run."""
    server = pytest.importorskip("witnd.mcp.server", reason="the extra is not installed: pip install 'witnd[mcp]'")
    seen: list[Any] = []

    class Idle:
        def run(self, transport: str) -> None:
            assert transport == "stdio"

    def build(client: Any, *, allow_writes: bool) -> Idle:
        seen.append((str(client._address), client._headers["Authorization"], allow_writes))
        return Idle()

    monkeypatch.setattr(server, "build", build)
    return seen


@pytest.mark.parametrize(
    ("arguments", "environ", "url"),
    [
        ((), {}, "http://127.0.0.1:8700"),
        ((), {"WITND_HTTP__BIND": "0.0.0.0:9000"}, "http://127.0.0.1:9000"),
        ((), {"WITND_HTTP__BIND": "[::]:9000"}, "http://[::1]:9000"),
        ((), {"WITND_URL": "https://b.example.com/x/"}, "https://b.example.com:443/x"),
        (("--url", "http://a:1"), {"WITND_URL": "http://b:2"}, "http://a:1"),
    ],
)
def test_the_address_is_the_option_or_the_environment_or_where_the_daemon_listens(
    built: list[Any], arguments: tuple[str, ...], environ: Mapping[str, str], url: str
) -> None:
    done = witnd(*arguments, WITND_TOKEN=TOKEN, **environ)
    assert done.exit_code == 0, done.output
    assert built == [(url, f"Bearer {TOKEN}", False)]


def test_the_token_may_stand_in_a_file(built: list[Any], tmp_path: Path) -> None:
    (tmp_path / "token").write_text(TOKEN + "\n")
    assert witnd("--token-file", str(tmp_path / "token"), "--allow-writes").exit_code == 0
    assert built == [("http://127.0.0.1:8700", f"Bearer {TOKEN}", True)]


@pytest.mark.parametrize(
    ("arguments", "environ", "said"),
    [
        ((), {}, "WITND_TOKEN"),
        ((), {"WITND_TOKEN": "two words"}, "token"),
        (("--token-file", "/nowhere"), {}, "--token-file"),
        (("--url", "ftp://x"), {"WITND_TOKEN": TOKEN}, "base_url"),
        ((), {"WITND_TOKEN": TOKEN, "WITND_HTTP__BIND": "127.0.0.1:0"}, "--url"),
        ((), {"WITND_TOKEN": TOKEN, "WITND_HTTP__BIND": "?"}, "WITND_HTTP__BIND"),
    ],
)
def test_what_is_missing_or_wrong_ends_it_with_the_remedy(
    built: list[Any], arguments: tuple[str, ...], environ: Mapping[str, str], said: str
) -> None:
    done = witnd(*arguments, **environ)
    assert done.exit_code == 2
    assert said in done.stderr
    assert "two words" not in done.output
    assert done.stdout == ""
    assert built == []


def test_without_the_extra_it_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in [name for name in sys.modules if name == "mcp" or name.startswith(("mcp.", "witnd.mcp"))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, "mcp", None)
    done = witnd(WITND_TOKEN=TOKEN)
    assert done.exit_code == 2
    assert "pip install 'witnd[mcp]'" in done.stderr
