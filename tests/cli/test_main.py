"""The command itself: quick help, documented exit codes, a plain line where something is wrong."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace

import click
import pytest
from click.testing import CliRunner, Result

from witnd import __version__
from witnd.cli import main as entry
from witnd.cli.console import output
from witnd.cli.console.context import config_option, json_option, run, server, session
from witnd.config import ConfigError, load
from witnd.domain.values.mistake import Mistake
from witnd.store.errors import Fenced, StoreRefused, StoreUnavailable, Unsafe
from witnd.store.keys import GlobalKeys
from witnd.store.meta import open_meta
from witnd.store.server.connection import connect, endpoint
from witnd.store.server.embedded import embedded

HEAVY = ("redis", "aiohttp", "msgspec", "structlog", "rich", "asyncio", "anyio")


@pytest.fixture
def invoke(monkeypatch: pytest.MonkeyPatch) -> Callable[..., Result]:
    """Invokes a callback as if it were the command `witnd try`."""

    def call(callback: Callable[..., object], *arguments: str, **environ: str) -> Result:
        command = callback if isinstance(callback, click.Command) else click.command()(callback)
        monkeypatch.setitem(sys.modules, "tried", SimpleNamespace(command=command))
        monkeypatch.setitem(entry.COMMANDS, "try", ("tried:command", "Try."))
        return CliRunner().invoke(entry.main, ["try", *arguments], env=environ)

    return call


def python(program: str) -> str:
    return subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True).stdout


def test_help_names_every_command_and_imports_nothing_heavy() -> None:
    shown = python(
        "import sys\n"
        "from witnd.cli.main import main\n"
        "main(['--help'], standalone_mode=False)\n"
        f"print('imported:', [name for name in {HEAVY} if name in sys.modules])\n"
    )
    for name in entry.COMMANDS:
        assert f"\n  {name} " in shown
    assert "imported: []" in shown


def test_help_is_quick_because_it_imports_click_and_the_standard_library_alone() -> None:
    """The time itself depends on the machine; what is imported does not.

    What the environment imports before any program (setuptools does, through a .pth file) is subtracted.
    """
    before = json.loads(python("import json, sys; print(json.dumps([name.partition('.')[0] for name in sys.modules]))"))
    shown = python(
        "import sys\n"
        "from witnd.cli.main import main\n"
        "main(['--help'], standalone_mode=False)\n"
        "packages = {name.partition('.')[0] for name in sys.modules} - set(sys.stdlib_module_names)"
        f" - {set(before)}\n"
        "print('packages:', sorted(packages - {'__main__'}), len([n for n in sys.modules if n.startswith('witnd')]))\n"
    )
    packages, _, modules = shown.rpartition("packages: ")[2].rpartition(" ")

    assert packages == "['click', 'witnd']"
    assert int(modules) <= 5, "the help imports the implementation of commands"


def test_the_version() -> None:
    assert CliRunner().invoke(entry.main, ["--version"]).output == f"witnd {__version__}\n"


def test_a_command_that_is_not_installed_breaks_no_help(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(entry.COMMANDS, "absent", ("witnd.cli.absent:absent", "Not there."))
    assert CliRunner().invoke(entry.main, ["--help"]).exit_code == 0
    used = CliRunner().invoke(entry.main, ["absent"])
    assert used.exit_code == 2
    assert "absent" in used.output


def test_a_command_whose_own_imports_fail_says_so(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "halfway.py").write_text("import no_such_module_at_all\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setitem(entry.COMMANDS, "halfway", ("halfway:command", "Broken."))
    used = CliRunner().invoke(entry.main, ["halfway"])
    assert isinstance(used.exception, ModuleNotFoundError)


@pytest.mark.parametrize("arguments", [["nonsense"], ["--nonsense"], ["check", "--nonsense"], []])
def test_mistakes_in_usage_end_with_2(arguments: list[str]) -> None:
    assert CliRunner().invoke(entry.main, arguments).exit_code == 2


@pytest.mark.parametrize(
    ("command", "named"),
    [
        ("events badid", "must be the id of an entry"),
        ("events remove badid", "must be the id of an entry"),
        ("agents support --at yesterday", "'yesterday'"),
        ("deliveries resend --from yesterday --to 2027-01-01T00:00:00Z", "'yesterday'"),
        ("invoices --period x", "'x'"),
        ("tokens create shop --scope ingest --rate -1", "--rate: must be above 0"),
    ],
)
def test_mistakes_are_named_before_redis_is_asked(command: str, named: str) -> None:
    result = CliRunner().invoke(entry.main, command.split(), env={"WITND_REDIS__URL": "redis://127.0.0.1:1/0"})
    assert result.exit_code == 2, result.output
    assert named in result.stderr


@pytest.mark.parametrize(
    ("error", "code", "line"),
    [
        (ConfigError([Mistake("a.b", "is wrong"), Mistake("c", "too")]), 2, "witnd: a.b: is wrong"),
        (StoreUnavailable("no answer"), 3, "witnd: no answer"),
        (StoreRefused("it is full", "empty it"), 3, "witnd: it is full; empty it"),
        (Unsafe("it forgets", "turn AOF on"), 3, "witnd: it forgets; turn AOF on"),
        (Fenced("partition 3"), 4, "witnd: another daemon took over: partition 3"),
        (ExceptionGroup("tasks", [ValueError(), Fenced("0")]), 4, "witnd: another daemon"),
    ],
)
@pytest.mark.parametrize("asynchronous", [True, False])
def test_expected_failures_are_lines_and_codes_never_tracebacks(
    invoke: Callable[..., Result], error: Exception, code: int, line: str, asynchronous: bool
) -> None:
    async def later() -> None:
        raise error

    def fail() -> None:
        if asynchronous:
            run(later())
        raise error

    result = invoke(fail)
    assert result.exit_code == code
    assert result.stderr.startswith(line)
    assert "Traceback" not in result.stderr
    assert all(one.startswith("witnd: ") for one in result.stderr.splitlines())


def test_mistakes_of_ours_keep_their_traceback(invoke: Callable[..., Result]) -> None:
    def fail() -> None:
        raise ZeroDivisionError

    assert isinstance(invoke(fail).exception, ZeroDivisionError)


def test_a_command_stopped_by_ctrl_c_says_nothing(invoke: Callable[..., Result]) -> None:
    async def stopped() -> None:
        raise KeyboardInterrupt

    result = invoke(lambda: run(stopped()))
    assert (result.exit_code, result.output) == (130, "")


@click.command()
@config_option
@json_option
def show(config_path: Path | None, json_output: bool) -> None:
    """Prints what a session found."""

    async def main() -> None:
        async with session(config_path) as opened:
            found = {
                "server": str(opened.server),
                "meta": opened.meta,
                "events": opened.keys(0).events,
                "partitions": opened.partitions,
            }
            if json_output:
                output.as_json(found)

    run(main())


def test_a_session_has_a_checked_configuration_and_its_redis(
    invoke: Callable[..., Result], redis_url: str, tmp_path: Path
) -> None:
    file = tmp_path / "c.toml"
    file.write_text(f'[redis]\nurl = "{redis_url}"\nprefix = "other"\npartitions = 3')
    result = invoke(show, "--config", str(file), "--json")
    assert result.exit_code == 0, result.output
    assert json.loads(result.output) == {
        "server": redis_url,
        "meta": None,
        "events": "other:{0}:events",
        "partitions": 3,
    }


async def _recorded(url: str, partitions: int) -> None:
    async with connect(url) as client:
        await open_meta(client, GlobalKeys("witn"), partitions)


def test_a_session_refuses_another_number_of_partitions(invoke: Callable[..., Result], redis_url: str) -> None:
    run(_recorded(redis_url, 4))
    result = invoke(show, WITND_REDIS__URL=redis_url)
    assert result.exit_code == 2
    assert "this deployment has 4" in result.stderr


def test_a_redis_that_does_not_answer_is_named_with_what_to_do(
    invoke: Callable[..., Result],
) -> None:
    result = invoke(show, WITND_REDIS__URL="redis://:hidden@127.0.0.1:1/0")
    assert result.exit_code == 3
    assert "Redis at redis://127.0.0.1:1/0 does not answer" in result.stderr
    assert "redis.url" in result.stderr
    assert "hidden" not in result.stderr


def test_a_session_of_a_mistaken_configuration_tells_all_of_it(invoke: Callable[..., Result], tmp_path: Path) -> None:
    (tmp_path / "c.toml").write_text("[redis]\npartitions = 0\n[http]\nbind = 1")
    result = invoke(show, "--config", str(tmp_path / "c.toml"))
    assert result.exit_code == 2
    assert len(result.stderr.splitlines()) == 2


async def test_without_a_url_an_embedded_server_that_runs_here_is_found(short_dir: Path) -> None:
    environ = {"WITND_CONFIG": "/dev/null", "WITND_DAEMON__STATE_DIR": str(short_dir)}
    usual = endpoint("redis://127.0.0.1:6379/0")
    assert server(load(None, environ), environ) == usual
    async with embedded(short_dir) as running:
        assert server(load(None, environ), environ) == endpoint(running.url)
        named = {**environ, "WITND_REDIS__URL": "redis://other/0"}
        assert server(load(None, named), named) == endpoint("redis://other/0")
        await running.stop()
        assert server(load(None, environ), environ) == usual


def test_a_table_is_plain_and_whole_where_no_terminal_is(capsys: pytest.CaptureFixture) -> None:
    long = "k" * 300
    output.table(("key", "status"), [(long, "OPEN"), ("b", 1)])
    assert capsys.readouterr().out.splitlines() == [
        "key" + " " * 297 + "  status",
        f"{long}  OPEN",
        "b" + " " * 299 + "  1",
    ]


def test_a_table_on_a_narrow_terminal_keeps_ids_whole(
    capsys: pytest.CaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "40")
    monkeypatch.setattr(sys.stdout, "isatty", lambda: True, raising=False)
    long = "k" * 300
    output.table(("key", "status"), [(long, "[bold]OPEN")])
    shown = capsys.readouterr().out
    assert any(long in line and "[bold]OPEN" in line for line in shown.splitlines())


def test_no_text_of_an_event_steers_the_terminal(capsys: pytest.CaptureFixture) -> None:
    output.table(("key",), [("a\x1b[2J\nb\u202ec é 顧客",)])
    assert capsys.readouterr().out == "key\na\\x1b[2J\\nb\\u202ec é 顧客\n"


def check(*arguments: str) -> Result:
    return CliRunner().invoke(entry.main, ["check", *arguments])


def test_check_says_ok_of_the_example() -> None:
    result = check("config/witnd.example.toml")
    assert (result.exit_code, result.output) == (
        0,
        "ok: config/witnd.example.toml is a configuration\n",
    )


def test_check_tells_every_mistake_of_a_configuration(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("WITND_REDIS__PARTITIONS", "not judged here")
    (tmp_path / "c.toml").write_text("[redis]\npartitions = 0\nurll = 1")
    result = check(str(tmp_path / "c.toml"))
    assert result.exit_code == 2
    assert [line.split(":")[1].strip() for line in result.stderr.splitlines()] == [
        "redis.partitions",
        "redis.urll",
    ]


def test_check_knows_a_catalogue_and_tells_every_mistake_of_it(tmp_path: Path) -> None:
    file = tmp_path / "catalogue.toml"
    file.write_text('[[customers]]\nkey = "acme"\nname = "Acme"\n')
    result = check(str(file))
    assert (result.exit_code, result.output) == (0, f"ok: {file} is a catalogue of 1 items\n")
    file.write_text('[[customers]]\nname = "Acme"\n[[agents]]\nkey = "a"\nnonsense = 1\n')
    result = check(str(file))
    assert result.exit_code == 2
    assert f"{file}: customers[0].key: " in result.stderr
    assert f"{file}: agents[0].nonsense: " in result.stderr


def test_check_of_a_file_that_is_not_there_ends_with_2(tmp_path: Path) -> None:
    result = check(str(tmp_path / "absent.toml"))
    assert result.exit_code == 2
    assert "cannot be read" in result.stderr
