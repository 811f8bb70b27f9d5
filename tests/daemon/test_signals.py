"""Signals other than the two that stop the daemon never end it."""

import signal

import pytest

from tests.support.daemon import SECONDS
from tests.support.processes import until


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGUSR2, signal.SIGQUIT])
def test_a_signal_without_a_meaning_is_one_line_of_the_log(server, daemon, number) -> None:
    one = daemon(server())
    one.says("daemon.ready")
    one.process.send_signal(number)

    assert one.says("signal.ignored")["signal"] == number.name
    assert one.terminate() == 0


def test_sighup_reads_the_configuration_again_and_says_what_needs_a_restart(server, daemon, tmp_path) -> None:
    file = tmp_path / "witnd.toml"
    file.write_text("[daemon]\nbatch = 7\n")
    one = daemon(server(), config=str(file))
    one.says("daemon.ready")
    file.write_text("[daemon]\nbatch = 8\n")
    one.process.send_signal(signal.SIGHUP)

    found = one.says("config.reloaded")
    assert (found["reloaded"], found["needs_restart"]) == ([], ["daemon.batch"])
    file.write_text('[daemon]\nbatch = 7\nlog_format = "console"\n')
    one.process.send_signal(signal.SIGHUP)
    until(lambda: "reloaded=['daemon.log_format']" in one.log, "a line for people", seconds=SECONDS)
    assert one.terminate() == 0


@pytest.mark.parametrize("text", ["[daemon]\nbatch = 0\ninstance = 5\n", "[dae"])
def test_a_wrong_configuration_keeps_the_old_one_and_names_every_mistake(server, daemon, tmp_path, text) -> None:
    file = tmp_path / "witnd.toml"
    file.write_text("")
    one = daemon(server(), config=str(file))
    one.begins()
    file.write_text(text)
    one.process.send_signal(signal.SIGHUP)

    assert len(one.says("config.rejected")["mistakes"]) == (2 if "instance" in text else 1)
    one.send("ticket-0001")
    one.settles(1)
    assert one.terminate() == 0


def test_a_storm_of_signals_loses_nothing(server, daemon) -> None:
    one = daemon(server())
    one.begins()
    for number in range(30):
        one.send(f"ticket-{number:04}")
        one.process.send_signal(signal.SIGHUP)
    one.settles(30)
    assert one.terminate() == 0
    assert one.resolved() == 30
