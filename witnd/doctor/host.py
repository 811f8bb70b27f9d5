"""Check this host: the daemon, its systemd unit, state directory and configuration."""

import os
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Final

from witnd.config import CREDENTIAL, Config
from witnd.doctor import machine as host
from witnd.doctor.check import Check, count, note, ok, problem, warning
from witnd.exit_codes import USAGE
from witnd.store.server.embedded import URL_FILE

# A stopping daemon drains its logs, ends its requests and writes its journal; an embedded server syncs its file.
DRAIN_SECONDS: Final = 30.0
EMBEDDED_SECONDS: Final = 30.0
FILES: Final = 4096
FILES_PER_PARTITION: Final = 4
# Upper estimates of a daemon's memory without outcomes, and per outcome.
BASE_BYTES: Final = 200 << 20
OUTCOME_BYTES: Final = 3 << 10
_VAR: Final = Path("/var/lib")
INSTALL: Final = "to start the daemon at boot, install the unit: see docs/how-to/run-in-production.md"


def check_daemon(config: Config, *, private: bool) -> Iterator[Check]:
    """Check whether a daemon runs here, and its health. `private`: it runs an embedded server."""
    if private:
        yield ok("daemon", "embedded server", f"running; its URL is in {config.daemon.state_dir / URL_FILE}")
    bind = config.http.bind
    if bind is None:
        yield note("daemon", "http", 'http.bind is "none", so the daemon cannot be checked', "check another daemon")
        return
    if bind.port == 0:
        yield note("daemon", "http", "http.bind has no fixed port, so the daemon cannot be checked", "set a port")
        return
    at = f"http://{bind}"
    alive = host.get(bind, "/healthz")
    if isinstance(alive, str):
        yield note(
            "daemon", "http", f"nothing responds at {at}: {alive}", "start a daemon if it should run on this host"
        )
        return
    if alive.status != 200 or alive.body is None or alive.body.get("status") != "ok":
        found = f"another program responds at {at} (status {alive.status})"
        yield warning("daemon", "http", found, "set http.bind to a free port")
        return
    yield ok("daemon", "http", f"a daemon responds at {at}")
    yield _ready(host.get(bind, "/readyz"))


def _ready(answer: host.Answer | str) -> Check:
    if isinstance(answer, str) or answer.body is None:
        found = answer if isinstance(answer, str) else f"status {answer.status}"
        return warning("daemon", "ready", f"unknown: {found}", "check the daemon's log")
    if answer.status == 200:
        alarms = answer.body.get("alarms")
        if isinstance(alarms, list) and alarms:
            found = "the daemon processes events, but " + "; ".join(map(str, alarms))
            return warning("daemon", "ready", found, "check the last lines of level error in its log")
        return ok("daemon", "ready", f"the daemon processes events, {answer.body.get('lag', '?')} behind")
    error = answer.body.get("error")
    reason = str(error.get("message")) if isinstance(error, dict) else f"status {answer.status}"
    if _is_standby(error):
        return note("daemon", "ready", "standby: another daemon owns the partitions")
    return warning("daemon", "ready", f"not ready: {reason}", "check the daemon's log for what it waits for")


def _is_standby(error: object) -> bool:
    """Return whether every partition waits for another daemon, and nothing else is wrong."""
    details = error.get("details") if isinstance(error, dict) else None
    found = [(str(one.get("path")), str(one.get("message"))) for one in details or () if isinstance(one, dict)]
    reasons = [message for path, message in found if not path]
    states = {path: message for path, message in found if path.startswith("partitions.")}
    return states == {"partitions.standby": str(len(reasons))}


def keeps_journal(config: Config, unit: Mapping[str, str] | None, *, private: bool) -> bool:
    """Return whether a daemon of this host certainly stores its journal in this state directory."""
    by_systemd = (_loaded_unit(unit) or {}).get("StateDirectory", "").split()[:1]
    return private or config.state_dir_explicit or [config.daemon.state_dir] == [_VAR / name for name in by_systemd]


def _loaded_unit(unit: Mapping[str, str] | None) -> Mapping[str, str] | None:
    return unit if unit is not None and unit.get("LoadState") == "loaded" else None


def check_unit(config: Config, unit: Mapping[str, str] | None) -> Iterator[Check]:
    """Check the setup of the daemon on this host. `unit`: its systemd properties, or None."""
    running = _loaded_unit(unit)
    yield _file(config, running)
    yield _state_dir(config, running)
    if unit is None:
        yield note("unit", "systemd", "not available on this host")
    elif running is None:
        yield note("unit", "systemd", f"{host.UNIT} is {unit['LoadState']}", INSTALL)
    else:
        yield _active(running)
        yield from _supervision(running)
        yield _limits(running, config)
    yield from _credential(config, running)
    yield _memory(config, running)


def _file(config: Config, unit: Mapping[str, str] | None) -> Check:
    used = str(config.file.absolute()) if config.file else None
    named = re.search(r"--config[ =](\S+)", (unit or {}).get("ExecStart", ""))
    if named and named[1] != used:
        found = f"{used or 'defaults'} here, {named[1]} in the unit"
        return note("unit", "configuration", found, f"check the unit's configuration with --config {named[1]}")
    if used is None:
        return note("unit", "configuration", "no file: defaults and environment", "write /etc/witnd/witnd.toml")
    return ok("unit", "configuration", used)


def _state_dir(config: Config, unit: Mapping[str, str] | None) -> Check:
    directory = config.daemon.state_dir
    if not config.state_dir_explicit:
        if unit is not None and unit.get("StateDirectory"):
            return ok("unit", "state directory", f"{_VAR / unit['StateDirectory'].split()[0]}, by systemd")
        found = f"{directory} (default): data loss is not detected after a restart"
        return note("unit", "state directory", found, "set daemon.state_dir, or StateDirectory= in the unit")
    there = next((one for one in (directory, *directory.parents) if one.exists()), Path("/"))
    if there.is_dir() and os.access(there, os.W_OK | os.X_OK):
        return ok(
            "unit", "state directory", f"{directory}, " + ("writable" if there == directory else "not created yet")
        )
    found = f"{directory} is not writable for this user"
    if unit is not None:
        return note("unit", "state directory", found, "make sure that the daemon's user can write to it")
    return warning("unit", "state directory", found, "make it writable for the daemon's user, or set daemon.state_dir")


def _active(unit: Mapping[str, str]) -> Check:
    state = unit.get("ActiveState", "unknown")
    words = [state, unit.get("UnitFileState", ""), unit.get("StatusText", "")]
    found = ", ".join(word for word in words if word)
    if state == "failed":
        why = f"{found} (result {unit.get('Result', 'unknown')})"
        return warning("unit", "systemd", why, "check `journalctl -u witnd`, then run `systemctl reset-failed witnd`")
    if unit.get("UnitFileState") == "disabled":
        return note("unit", "systemd", found, "run `systemctl enable witnd` to start it at boot")
    return ok("unit", "systemd", found)


def _supervision(unit: Mapping[str, str]) -> Iterator[Check]:
    kind, again = unit.get("Type", ""), unit.get("Restart", "")
    if kind not in ("notify", "notify-reload"):
        found = f"Type={kind}: systemd cannot detect when the daemon is ready"
        yield warning("unit", "supervision", found, "set Type=notify in the unit")
    if again in ("no", ""):
        yield warning(
            "unit", "supervision", "Restart=no: systemd does not restart a failed daemon", "set Restart=always"
        )
    watched = host.seconds(unit.get("WatchdogUSec", "0"))
    if not watched:
        yield note(
            "unit",
            "supervision",
            "no watchdog: systemd does not restart a hanging daemon",
            "set WatchdogSec=60 in the unit",
        )
    elif watched < 10:
        found = f"WatchdogSec={watched:g}: too short for a busy machine"
        yield warning("unit", "supervision", found, "set WatchdogSec=60 in the unit")
    needed = DRAIN_SECONDS + (EMBEDDED_SECONDS if "--embedded" in unit.get("ExecStart", "") else 0)
    stop = host.seconds(unit.get("TimeoutStopUSec", "infinity"))
    if stop is not None and stop < needed:
        found = f"TimeoutStopSec={stop:g}, but a stop can take {needed:g} s"
        yield warning("unit", "supervision", found, f"set TimeoutStopSec={needed:g} or more in the unit")
    elif kind in ("notify", "notify-reload") and again not in ("no", ""):
        text = "any time" if stop is None else f"{stop:g} s"
        yield ok("unit", "supervision", f"Type={kind}, Restart={again}, {text} to stop")


def _limits(unit: Mapping[str, str], config: Config) -> Check:
    text = unit.get("LimitNOFILE", "")
    needed = FILES + FILES_PER_PARTITION * config.redis.partitions
    if text.isdigit() and int(text) < needed:
        return warning("unit", "open files", f"LimitNOFILE={text}", f"set LimitNOFILE={max(needed, 16384)} in the unit")
    return ok("unit", "open files", f"LimitNOFILE={text or 'unknown'}")


def _credential(config: Config, unit: Mapping[str, str] | None) -> Iterator[Check]:
    named = config.redis.password_file
    if not named.startswith(CREDENTIAL):
        return
    name = named.removeprefix(CREDENTIAL)
    if unit is None:
        yield note(
            "unit", "credential", f"redis.password_file uses the {named}", "pass it with LoadCredential= in the unit"
        )
        return
    passed = " ".join(unit.get(one, "") for one in ("LoadCredential", "LoadCredentialEncrypted", "SetCredential"))
    if re.search(rf"(?:^|\s|\{{){re.escape(name)}(?::|\s|$)", passed) or unit.get("ImportCredential"):
        yield ok("unit", "credential", f"the unit passes {name}")
    else:
        found = f"redis.password_file uses the {named}, but the unit does not pass it"
        yield problem("unit", "credential", found, f"add LoadCredential={name}:/path to the unit", USAGE)


def _memory(config: Config, unit: Mapping[str, str] | None) -> Check:
    outcomes = config.daemon.actors_in_memory
    # Each owned partition may have this many.
    needed = BASE_BYTES + OUTCOME_BYTES * outcomes * config.redis.partitions
    limits = [("MemoryMax", (unit or {}).get("MemoryMax", "")), ("MemoryHigh", (unit or {}).get("MemoryHigh", ""))]
    bounds = [(int(text), name) for name, text in limits if text.isdigit()]
    if (whole := host.memory()) is not None:
        bounds.append((whole, "the memory of this host"))
    want = f"{count(outcomes, 'outcome')} in memory can take {needed >> 20} MiB"
    if config.redis.partitions > 1:
        want = f"{count(outcomes, 'outcome')} of each partition in memory can take {needed >> 20} MiB"
    if bounds and min(bounds)[0] < needed:
        least, name = min(bounds)
        tell = warning if name.startswith("Memory") else note
        return tell(
            "unit",
            "memory",
            f"{want}, but {name} is {least >> 20} MiB",
            "lower daemon.actors_in_memory, or raise the limit",
        )
    return ok("unit", "memory", want)
