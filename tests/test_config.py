"""The configuration: its sources, what it refuses, and that its example is complete and true."""

import re
import tomllib
from ipaddress import ip_network
from pathlib import Path

import pytest
from msgspec.structs import fields

from witnd.config import Config, ConfigError, load
from witnd.settings import READERS, Address, Durability

EXAMPLE = Path("config/witnd.example.toml")
NOWHERE = {"HOME": "/nowhere"}


@pytest.fixture(autouse=True)
def _elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, request) -> None:
    if "example" not in request.node.name:
        monkeypatch.chdir(tmp_path)


def written(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


def mistakes(text: str, tmp_path: Path, environ: dict[str, str] | None = None) -> dict[str, str]:
    with pytest.raises(ConfigError) as refused:
        load(written(tmp_path / "c.toml", text), environ or {})
    return {one.path: one.message for one in refused.value.mistakes}


def test_without_file_and_environment_the_defaults_hold() -> None:
    config = load(None, {})
    assert config.redis.url == "redis://127.0.0.1:6379/0"
    assert config.redis.durability == Durability("server")
    assert config.http.bind == Address("127.0.0.1", 8700)
    assert config.webhooks.schedule == (5, 300, 1800, 7200, 18000, 36000, 50400, 72000, 86400)
    assert config.billing.grace == 86400
    assert config.daemon.instance
    assert config.file is None
    assert not config.url_explicit


def test_the_file_is_the_named_one_then_the_environments_then_that_here(tmp_path: Path) -> None:
    named = written(tmp_path / "named.toml", '[redis]\nprefix = "named"')
    other = written(tmp_path / "other.toml", '[redis]\nprefix = "other"')
    written(tmp_path / "witnd.toml", '[redis]\nprefix = "here"')
    by_environment = {"WITND_CONFIG": str(other)}
    assert load(named, by_environment).redis.prefix == "named"
    assert load(None, by_environment).redis.prefix == "other"
    assert load(None, {"WITND_CONFIG": ""}).redis.prefix == "here"
    assert load(None, {}).file == Path("witnd.toml")


def test_the_environment_overrides_the_file(tmp_path: Path) -> None:
    file = written(
        tmp_path / "c.toml",
        '[redis]\npartitions = 2\n[webhooks]\nschedule = [1]\nallow_networks = ["10.0.0.0/8"]',
    )
    config = load(
        file,
        {
            "WITND_REDIS__PARTITIONS": "8",
            "WITND_REDIS__DURABILITY": "replica:2",
            "WITND_WEBHOOKS__SCHEDULE": "0.5, 2m ,1h",
            "WITND_WEBHOOKS__ALLOW_NETWORKS": '["127.0.0.0/8", "::1/128"]',
            "WITND_BILLING__GRACE": "24h",
            "WITND_HTTP__BIND": "[::]:0",
            "WITND_UNRELATED": "is not a setting",
            "PATH": "/bin",
        },
    )
    assert config.redis.partitions == 8
    assert config.redis.durability == Durability("replica", 2)
    assert config.webhooks.schedule == (0.5, 120, 3600)
    assert config.webhooks.allow_networks == (ip_network("127.0.0.0/8"), ip_network("::1/128"))
    assert config.billing.grace == 86400
    assert config.http.bind == Address("::", 0)


def test_all_mistakes_of_file_and_environment_are_told_at_once(tmp_path: Path) -> None:
    found = mistakes(
        """
        [redis]
        url = "redis://:hidden@h:0"
        urll = "redis://h"
        prefix = "a{b}"
        partitions = 1025
        durability = "disk"
        [http]
        bind = "8700"
        [webhooks]
        allow_networks = ["10.1.0.1/16", 3]
        schedule = []
        [billing]
        period = "year"
        grace = "a day"
        [daemon]
        instance = "a b"
        batch = true
        lease = "10"
        [webhook]
        x = 1
        """,
        tmp_path,
        {"WITND_REDIS__URLL": "x", "WITND_REDISS__URL": "x", "WITND_DAEMON__BATCH": "many"},
    )
    assert found.keys() == {
        "redis.url",
        "redis.urll",
        "redis.prefix",
        "redis.partitions",
        "redis.durability",
        "http.bind",
        "webhooks.allow_networks",
        "webhooks.schedule",
        "billing.period",
        "billing.grace",
        "daemon.instance",
        "daemon.batch",
        "daemon.lease",
        "webhook",
        "WITND_REDIS__URLL",
        "WITND_REDISS__URL",
        "WITND_DAEMON__BATCH",
    }
    assert "did you mean url?" in found["redis.urll"]
    assert "did you mean webhooks?" in found["webhook"]
    assert "between 1 and 1024" in found["redis.partitions"]
    assert 'item 0 is "10.1.0.1/16"' in found["webhooks.allow_networks"]
    assert "item 1 is 3" in found["webhooks.allow_networks"]
    assert "month, week, day" in found["billing.period"]
    assert not any("hidden" in message for message in found.values())


def test_a_value_of_the_file_is_checked_although_the_environment_overrides_it(
    tmp_path: Path,
) -> None:
    found = mistakes("[redis]\npartitions = 0", tmp_path, {"WITND_REDIS__PARTITIONS": "1"})
    assert found.keys() == {"redis.partitions"}


@pytest.mark.parametrize(
    ("setting", "text"),
    [
        ("redis.url", "1"),
        ("redis.url", '"http://h"'),
        ("redis.password_file", '"relative"'),
        ("redis.password_file", '"credential:"'),
        ("redis.password_file", '"credential:../etc/shadow"'),
        ("redis.prefix", '""'),
        ("redis.prefix", '"a b"'),
        ("redis.partitions", "1.0"),
        ("redis.partitions", '"1"'),
        ("redis.durability", '"replica:0"'),
        ("redis.durability", '"replica:"'),
        ("redis.durability", '"fsync:1"'),
        ("http.bind", '"::1:80"'),
        ("http.bind", '"host:65536"'),
        ("http.bind", '":80"'),
        ("webhooks.schedule", "[0]"),
        ("webhooks.schedule", "5"),
        ("webhooks.schedule", "[nan]"),
        ("webhooks.schedule", "[-1]"),
        ("webhooks.schedule", "[true]"),
        ("webhooks.allow_networks", '["localhost"]'),
        ("billing.grace", "-1"),
        ("billing.grace", "inf"),
        ("daemon.lease", "0"),
        ("daemon.lease", "301"),
        ("daemon.actors_in_memory", "0"),
        ("daemon.batch", "10001"),
        ("daemon.log_format", '"xml"'),
        ("daemon.state_dir", "1"),
        ("daemon", "1"),
    ],
)
def test_an_unusable_value_is_refused_where_it_stands(tmp_path: Path, setting: str, text: str) -> None:
    section, _, name = setting.rpartition(".")
    line = f"{name} = {text}"
    assert mistakes(f"[{section}]\n{line}" if section else line, tmp_path).keys() == {setting}


@pytest.mark.parametrize(
    ("content", "problem"),
    [
        (b"[redis", "is not TOML"),
        (b"a = '\xff'", "is not UTF-8"),
        (b"#" * ((1 << 20) + 1), "larger than 1 MiB"),
        (b"a = " + b"[" * 5000, "nested too deep"),
        (None, "cannot be read"),
    ],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path: Path, content: bytes | None, problem: str) -> None:
    file = tmp_path / "c.toml"
    if content is not None:
        file.write_bytes(content)
    with pytest.raises(ConfigError, match=problem) as refused:
        load(file, {})
    assert refused.value.mistakes[0].path == str(file)


def test_the_password_comes_from_a_file_or_a_credential_and_is_shown_nowhere(
    tmp_path: Path,
) -> None:
    written(tmp_path / "redis-password", "from-a-file\n")
    environ = {"CREDENTIALS_DIRECTORY": str(tmp_path)}
    for named in (str(tmp_path / "redis-password"), "credential:redis-password"):
        config = load(None, {"WITND_REDIS__URL": "redis://:inside@h", "WITND_REDIS__PASSWORD_FILE": named})
        assert config.redis.endpoint(environ).login() == ("from-a-file",)
        assert "inside" not in repr(config)
    assert load(None, {"WITND_REDIS__URL": "redis://:inside@h"}).redis.endpoint().login() == ("inside",)


@pytest.mark.parametrize(
    ("named", "environ", "problem"),
    [
        ("credential:pw", {}, "LoadCredential=pw"),
        ("credential:pw", {"CREDENTIALS_DIRECTORY": "/nowhere"}, "/nowhere/pw"),
        ("/nowhere/pw", {}, "/nowhere/pw"),
    ],
)
def test_a_password_that_cannot_be_read_is_a_mistake_with_a_remedy(
    named: str, environ: dict[str, str], problem: str
) -> None:
    config = load(None, {"WITND_REDIS__PASSWORD_FILE": named})
    with pytest.raises(ConfigError, match=problem):
        config.redis.endpoint(environ)


@pytest.mark.parametrize("content", [None, b"", b"no certificate", b"-----BEGIN CERTIFICATE-----\nAA\n"])
def test_authorities_of_webhooks_that_cannot_be_read_are_a_mistake(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "ca.pem"
    if content is not None:
        file.write_bytes(content)
    config = load(None, {"WITND_WEBHOOKS__CA_FILE": str(file)})
    with pytest.raises(ConfigError, match=r"webhooks\.ca_file: .*ca\.pem is unusable"):
        config.webhooks.tls()
    with pytest.raises(ConfigError, match="absolute path"):
        load(None, {"WITND_WEBHOOKS__CA_FILE": "ca.pem"})


@pytest.mark.parametrize(
    ("environ", "expected", "explicit"),
    [
        ({"WITND_DAEMON__STATE_DIR": "/data"}, "/data", True),
        ({"WITND_DAEMON__STATE_DIR": "/data", "STATE_DIRECTORY": "/var/x"}, "/data", True),
        ({"STATE_DIRECTORY": "/var/lib/a:/var/lib/b"}, "/var/lib/a", True),
        ({"XDG_STATE_HOME": "/xdg"}, "/xdg/witnd", False),
        ({"WITND_DAEMON__STATE_DIR": "", "XDG_STATE_HOME": "/xdg"}, "/xdg/witnd", False),
    ],
)
def test_the_state_directory_and_whether_somebody_chose_it(
    monkeypatch: pytest.MonkeyPatch, environ: dict[str, str], expected: str, explicit: bool
) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    config = load(None, environ)
    assert (config.daemon.state_dir, config.state_dir_explicit) == (Path(expected), explicit)


def test_the_state_directory_of_root_and_of_a_plain_user(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("os.geteuid", lambda: 0)
    assert load(None, {}).daemon.state_dir == Path("/var/lib/witnd")
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setenv("HOME", "/home/me")
    assert load(None, {}).daemon.state_dir == Path("/home/me/.local/state/witnd")


def test_a_relative_state_directory_is_one_of_here(tmp_path: Path) -> None:
    assert load(None, {"WITND_DAEMON__STATE_DIR": "s"}).daemon.state_dir == tmp_path / "s"


def test_the_example_names_every_setting_with_its_default() -> None:
    example = load(EXAMPLE, {})
    default = load(None, {"WITND_CONFIG": "/dev/null"})
    for section in READERS:
        assert getattr(example, section) == getattr(default, section), section
    assert not example.state_dir_explicit
    written_down = {name: set(table) for name, table in tomllib.loads(EXAMPLE.read_text()).items()}
    assert written_down == {name: set(table) for name, table in READERS.items()}


def test_every_field_of_the_configuration_can_be_set_as_the_example_says() -> None:
    sections = {one.name: one.type for one in fields(Config) if one.name in READERS}
    assert {name: {field.name for field in fields(kind)} for name, kind in sections.items()} == {
        name: set(table) for name, table in READERS.items()
    }


def test_every_setting_of_the_example_is_explained_above_it() -> None:
    lines = EXAMPLE.read_text().splitlines()
    for number, line in enumerate(lines):
        if re.match(r"\w+ = ", line):
            assert lines[number - 1].startswith("# "), line


class TestSeries:
    @pytest.mark.parametrize("series", ["INV", "INV-{year}", "R{year}-A", "A" * 12 + "{year}"])
    def test_a_series_may_have_the_year(self, series: str) -> None:
        assert load(None, {"WITND_BILLING__SERIES": series}).billing.series == series

    @pytest.mark.parametrize("series", ["{year}", "INV-{month}", "INV-{year}{year}", "A" * 13 + "{year}", "inv"])
    def test_no_other(self, series: str) -> None:
        with pytest.raises(ConfigError, match="starting with a letter"):
            load(None, {"WITND_BILLING__SERIES": series})

    @pytest.mark.parametrize(("one", "other"), [("INV", "INV"), ("N-{year}", "N-2026"), ("N-2030", "N-{year}")])
    def test_two_series_never_share_a_name(self, one: str, other: str) -> None:
        with pytest.raises(ConfigError, match="no number is used twice"):
            load(None, {"WITND_BILLING__SERIES": one, "WITND_BILLING__CREDIT_SERIES": other})

    def test_the_first_number_is_above_0(self) -> None:
        with pytest.raises(ConfigError, match="FIRST_NUMBER"):
            load(None, {"WITND_BILLING__FIRST_NUMBER": "0"})
