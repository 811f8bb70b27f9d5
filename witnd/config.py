"""The configuration: settings from a TOML file and the environment, with defaults.

All mistakes are reported together. `settings` reads single values.
"""

import os
import re
import ssl
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from msgspec import Struct

from witnd.domain.values.fields import short_repr, unknown_name
from witnd.domain.values.mistake import Mistake
from witnd.domain.webhooks.notification import SCHEDULE
from witnd.endpoint import Endpoint, SentinelLogin, endpoint, read_password
from witnd.settings import READERS, Address, Durability, Network, host_name

DEFAULT_URL = "redis://127.0.0.1:6379/0"
PREFIX = "WITND_"
FILE_VARIABLE = "WITND_CONFIG"
CREDENTIAL = "credential:"
LARGEST_FILE = 1 << 20  # bytes; larger files are not configurations


class ConfigError(Exception):
    """All mistakes in the configuration."""

    def __init__(self, mistakes: Sequence[Mistake]) -> None:
        super().__init__("\n".join(map(str, mistakes)))
        self.mistakes = tuple(mistakes)


class RedisConfig(Struct, frozen=True, kw_only=True):
    url: str = DEFAULT_URL
    password_file: str = ""
    sentinel_username: str = ""
    sentinel_password_file: str = ""
    sentinel_tls: bool = False
    prefix: str = "witn"
    partitions: int = 1
    durability: Durability = Durability("server")

    def endpoint(self, environ: Mapping[str, str] = os.environ) -> Endpoint:
        """Return address and login. A password file is checked here, and read again at each login."""
        file = _password_file("password_file", self.password_file, environ)
        sentinels = SentinelLogin(
            username=self.sentinel_username or None,
            password_file=_password_file("sentinel_password_file", self.sentinel_password_file, environ),
            tls=self.sentinel_tls,
        )
        server = endpoint(self.url, password_file=file, sentinels=sentinels)
        if server.mode != "sentinel" and sentinels != SentinelLogin():
            problem = "is not a redis+sentinel:// address, but a redis.sentinel_ setting is set; remove that setting"
            raise ConfigError([Mistake("redis.url", problem)])
        try:
            server.context()
        except OSError as error:
            problem = f"names the CA file {server.ca_file}, which is unusable: {error}; name a file of certificates"
            raise ConfigError([Mistake("redis.url", problem)]) from error
        return server

    def __repr__(self) -> str:
        return f"RedisConfig(url={endpoint(self.url)}, prefix={self.prefix!r})"


class HttpConfig(Struct, frozen=True, kw_only=True):
    bind: Address | None = Address("127.0.0.1", 8700)
    max_lag: int = 1_000_000
    connections_max: int = 0  # 0: derived from the limit of open files
    public_url: str = ""  # no links without it


class WebhooksConfig(Struct, frozen=True, kw_only=True):
    allow_networks: tuple[Network, ...] = ()
    ca_file: str = ""
    schedule: tuple[float, ...] = tuple(ms // 1000 for ms in SCHEDULE)

    def tls(self) -> ssl.SSLContext:
        """Return a TLS context with the CAs of the system and of `ca_file`. Raises ConfigError for an unusable file."""
        trust = ssl.create_default_context()
        if self.ca_file:
            try:
                own = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
                own.load_verify_locations(self.ca_file)
                if not own.cert_store_stats()["x509"]:
                    raise ssl.SSLError("it has no certificate")
                trust.load_verify_locations(self.ca_file)
            except OSError as error:
                problem = f"{self.ca_file} is unusable: {error}; name a file of certificates in PEM"
                raise ConfigError([Mistake("webhooks.ca_file", problem)]) from error
        return trust


class BillingConfig(Struct, frozen=True, kw_only=True):
    period: str = "month"
    time_zone: str = "UTC"
    grace: float = 86400
    issue: str = "auto"
    zero_invoices: bool = False
    series: str = "INV"
    first_number: int = 1
    credit_series: str = "CN"
    first_credit_number: int = 1


class DaemonConfig(Struct, frozen=True, kw_only=True):
    state_dir: Path = Path()
    instance: str = ""
    lease: float = 8
    actors_in_memory: int = 100_000
    batch: int = 500
    log_format: str = "auto"


class Config(Struct, frozen=True, kw_only=True):
    """The settings of a run. Durations are in seconds."""

    redis: RedisConfig = RedisConfig()
    http: HttpConfig = HttpConfig()
    webhooks: WebhooksConfig = WebhooksConfig()
    billing: BillingConfig = BillingConfig()
    daemon: DaemonConfig = DaemonConfig()
    file: Path | None = None
    # The state directory is configured, so it is the same after a restart.
    state_dir_explicit: bool = False
    url_explicit: bool = False
    bind_explicit: bool = False


class _Setting(NamedTuple):
    """A setting from a source. A later one overrides an earlier one."""

    where: str
    section: str
    name: str
    value: Any
    from_text: bool


def load(path: Path | None = None, environ: Mapping[str, str] = os.environ) -> Config:
    """Return the configuration. Raises ConfigError with all mistakes of both sources."""
    file = find(path, environ)
    mistakes: list[Mistake] = []
    values: dict[str, dict[str, Any]] = {name: {} for name in READERS}
    for item in (*_file_settings(file, mistakes), *_environment_settings(environ, mistakes)):
        reader = READERS[item.section].get(item.name)
        if reader is None:
            known = tuple(READERS[item.section])
            mistakes.append(Mistake(item.where, unknown_name(item.name, known)))
            continue
        try:
            value = reader.unpack(item.value) if item.from_text else item.value
            values[item.section][item.name] = reader.read(value)
        except ValueError as wrong:
            mistakes.append(Mistake(item.where, str(wrong)))
    if mistakes:
        raise ConfigError(mistakes)
    state_dir, explicit = _state_dir(values["daemon"].pop("state_dir", ""), environ)
    daemon = {"instance": host_name(), **values["daemon"], "state_dir": state_dir}
    billing = BillingConfig(**values["billing"])
    if _overlap(billing.series, billing.credit_series):
        problem = f"must differ from billing.series ({short_repr(billing.series)}), so that no number is used twice"
        raise ConfigError([Mistake("billing.credit_series", problem)])
    return Config(
        redis=RedisConfig(**values["redis"]),
        http=HttpConfig(**values["http"]),
        webhooks=WebhooksConfig(**values["webhooks"]),
        billing=billing,
        daemon=DaemonConfig(**daemon),
        file=file,
        state_dir_explicit=explicit,
        url_explicit="url" in values["redis"],
        bind_explicit="bind" in values["http"],
    )


def find(path: Path | None, environ: Mapping[str, str]) -> Path | None:
    """Return the given file, or that of the environment, or the first existing default path."""
    if path is not None:
        return path
    if named := environ.get(FILE_VARIABLE):
        return Path(named)
    defaults = (Path("witnd.toml"), Path("/etc/witnd/witnd.toml"))
    return next((default for default in defaults if default.exists()), None)


def _file_settings(file: Path | None, mistakes: list[Mistake]) -> Iterator[_Setting]:
    for section, table in ({} if file is None else document(file)).items():
        if section not in READERS:
            mistakes.append(Mistake(section, unknown_name(section, tuple(READERS))))
        elif not isinstance(table, dict):
            mistakes.append(Mistake(section, f"must be a table, got {short_repr(table)}; write [{section}]"))
        else:
            for name, value in table.items():
                yield _Setting(f"{section}.{name}", section, name, value, from_text=False)


def document(file: Path) -> dict[str, Any]:
    """Return the content of the TOML file. Raises ConfigError."""
    try:
        with file.open("rb") as stream:
            content = stream.read(LARGEST_FILE + 1)
        if len(content) > LARGEST_FILE:
            raise ValueError("is larger than 1 MiB, so it is not a configuration; correct the path")
        return tomllib.loads(content.decode("utf-8-sig"))
    except OSError as error:
        problem = f"cannot be read: {error.strerror}; correct --config or {FILE_VARIABLE}"
    except UnicodeDecodeError:
        problem = "is not UTF-8; save it as UTF-8"
    except tomllib.TOMLDecodeError as error:
        problem = f"is not TOML: {error}"
    except RecursionError:
        problem = "is nested too deeply; flatten it"
    except ValueError as error:
        problem = str(error)
    raise ConfigError([Mistake(str(file), problem)])


def _environment_settings(environ: Mapping[str, str], mistakes: list[Mistake]) -> Iterator[_Setting]:
    for variable, text in environ.items():
        section, separator, name = variable.removeprefix(PREFIX).lower().partition("__")
        if not variable.startswith(PREFIX) or not separator:
            continue
        if section not in READERS:
            mistakes.append(Mistake(variable, unknown_name(section, tuple(READERS))))
        else:
            yield _Setting(variable, section, name, text, from_text=True)


def _password_file(setting: str, text: str, environ: Mapping[str, str]) -> str | None:
    """Return the path of a password file. Raises ConfigError if it cannot be read or is empty."""
    if not text:
        return None
    where, file = f"redis.{setting}", Path(text)
    if text.startswith(CREDENTIAL):
        folder = environ.get("CREDENTIALS_DIRECTORY")
        if folder is None:
            raise ConfigError(
                [
                    Mistake(
                        where,
                        f"names the {text}, but systemd has passed no credentials; add "
                        f"LoadCredential={text.removeprefix(CREDENTIAL)}:/path to the unit",
                    )
                ]
            )
        file = Path(folder) / text.removeprefix(CREDENTIAL)
    try:
        password = read_password(file)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError([Mistake(where, f"cannot be read from {file}: {error}; correct it")]) from error
    if not password:
        raise ConfigError([Mistake(where, f"names {file}, which is empty; write the password into it")])
    return str(file)


def _state_dir(text: str, environ: Mapping[str, str]) -> tuple[Path, bool]:
    """Return the directory, and whether it is configured."""
    if text:
        return Path(text).expanduser().absolute(), True
    if by_systemd := environ.get("STATE_DIRECTORY", "").partition(":")[0]:
        return Path(by_systemd), True
    if os.geteuid() == 0:
        return Path("/var/lib/witnd"), False
    home = environ.get("XDG_STATE_HOME") or Path("~/.local/state").expanduser()
    return Path(home) / "witnd", False


def _overlap(series: str, other: str) -> bool:
    """Return whether two series have the same name in some year."""

    def covers(one: str, name: str) -> bool:
        pattern = re.escape(one).replace(re.escape("{year}"), "[0-9]{4}")
        return re.fullmatch(pattern, name.replace("{year}", "2026")) is not None

    return covers(series, other) or covers(other, series)
