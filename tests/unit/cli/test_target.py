"""Which daemon is asked, and at which of its addresses."""

import argparse
import socket
from collections.abc import Callable
from pathlib import Path

import pytest

from hvd.cli import target as module
from hvd.cli.client import Address, get_object
from hvd.cli.daemons import Daemon
from hvd.cli.main import main
from hvd.cli.target import target
from hvd.core import layout
from hvd.core.outside import KeptBlock
from hvd.errors import DaemonsAmbiguous, DaemonUnreachable
from tests.unit.cli.daemon import HEALTHY, daemon, run

OK = (200, {"status": "healthy"})
DEAD = Address.parse("http://127.0.0.1:1")


def running(instance: str, *admin: Address, serves: tuple[Address, ...] = ()) -> Daemon:
    return Daemon(instance, KeptBlock(f"hvd-{instance}", 0, layout.FORMAT, (1,), 0), admin, serves)


Machine = Callable[..., None]


@pytest.fixture
def machine(monkeypatch: pytest.MonkeyPatch) -> Machine:
    """Sets what runs here, and the sockets of the instance that the settings name."""
    for name in ("HVD_CONFIG", "HVD_BIND", "HVD_INSTANCE", "PORT"):
        monkeypatch.delenv(name, raising=False)

    def set_up(*daemons: Daemon, sockets: tuple[Address, ...] = ()) -> None:
        monkeypatch.setattr(module, "running_daemons", lambda: list(daemons))
        monkeypatch.setattr(module, "admin_addresses", lambda instance: list(sockets))

    set_up()
    return set_up


def arguments(url: Address | None = None, instance: str | None = None) -> argparse.Namespace:
    return argparse.Namespace(url=url, instance=instance)


def test_an_address_that_is_given_is_taken_as_it_is(machine: Machine) -> None:
    """Nothing else is looked at."""
    machine(running("a"), running("b"))
    assert target(arguments(DEAD)) == (DEAD, 5.0)


def test_the_admin_server_of_the_settings_is_asked_first(machine: Machine) -> None:
    """Whatever else runs; also where it says that it isn't healthy."""
    with daemon((503, {"status": "unhealthy"})) as (url, _):
        machine(running("a"), running("b"), sockets=(DEAD, Address.parse(url)))
        assert target(arguments())[0].url == url


def test_a_dead_socket_falls_through_to_the_bind_that_is_set(machine: Machine, monkeypatch: pytest.MonkeyPatch) -> None:
    """It is named beside the address that is asked in the end. Other daemons are not meant."""
    monkeypatch.setenv("HVD_BIND", "127.0.0.1:2")
    machine(running("a", DEAD), sockets=(DEAD,))
    address, _ = target(arguments())
    assert (address.url, address.tried) == ("http://127.0.0.1:2", ("http://127.0.0.1:1 (connection refused)",))


def test_the_only_daemon_is_meant_where_nothing_is_set(machine: Machine) -> None:
    """At its admin server, or where it serves; else the default bind."""
    with daemon(OK) as (url, _):
        live = Address.parse(url)
        machine(running("a", live))
        assert target(arguments())[0] == live
        machine(running("a", DEAD, serves=(live,)))
        assert target(arguments())[0] == live
    machine(running("a", DEAD))
    assert target(arguments())[0].url == "http://127.0.0.1:8080"


def test_of_several_one_has_to_be_chosen(machine: Machine, capsys: pytest.CaptureFixture[str]) -> None:
    """They are listed, and it is said how."""
    machine(running("shop"), running("office"))
    with pytest.raises(DaemonsAmbiguous, match=r"2 daemons run .* choose one by --instance: shop, office"):
        target(arguments())
    assert main(["status"]) == 2
    assert capsys.readouterr().err.startswith("hvd: 2 daemons run")


def test_an_instance_is_found_by_its_name(machine: Machine) -> None:
    """Where its first address is dead, at the next one; the last is not looked at before it is asked."""
    with daemon(OK) as (url, _):
        live = Address.parse(url)
        machine(running("shop", DEAD, live), running("office", DEAD))
        assert target(arguments(instance="shop"))[0].url == url
    assert target(arguments(instance="office"))[0] == DEAD


def test_an_instance_that_does_not_run_is_told(machine: Machine) -> None:
    """With those that do."""
    machine(running("shop"))
    with pytest.raises(DaemonUnreachable, match="name office runs on this machine: these run: shop"):
        target(arguments(instance="office"))
    with pytest.raises(DaemonUnreachable, match="its addresses can't be seen from here: give --url"):
        target(arguments(instance="shop"))
    machine()
    with pytest.raises(DaemonUnreachable, match="none runs"):
        target(arguments(instance="office"))


def test_a_bind_to_port_0_names_no_daemon_to_ask() -> None:
    """Only the daemon knows its port then."""
    done = run("status", HVD_BIND="127.0.0.1:0", HVD_INSTANCE="a")
    assert done.returncode == 2
    assert "use --url" in done.stderr


def test_status_asks_the_daemon_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    """Bound to all addresses, it is reached at the local one; two intervals old is not stale."""
    with daemon((200, HEALTHY | {"observed_age_seconds": 20.5})) as (url, _):
        monkeypatch.setenv("HVD_BIND", url.replace("http://127.0.0.1", "0.0.0.0"))
        monkeypatch.setenv("HVD_INTERVAL", "10")
        assert main(["status"]) == 0
        assert "stale" not in capsys.readouterr().out
        monkeypatch.setenv("HVD_INTERVAL", "2")
        assert main(["status"]) == 0
        assert "stale, observed 20s ago" in capsys.readouterr().out


def test_a_message_names_what_was_tried(machine: Machine, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Both that were asked, with the reasons."""
    monkeypatch.setenv("HVD_BIND", f"unix:{tmp_path}/none")
    machine(sockets=(DEAD,))
    with pytest.raises(DaemonUnreachable) as failed:
        get_object(target(arguments())[0], "/health", 1.0)
    assert "no such file or directory), nor before at http://127.0.0.1:1 (connection refused)" in str(failed.value)


def test_an_address_that_accepts_and_says_nothing_is_passed_over(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As an admin server that hangs until its master replaces it."""
    monkeypatch.setattr(module, "PROBE", 0.1)
    with socket.create_server(("127.0.0.1", 0)) as silent, daemon(OK) as (url, _):
        hanging = Address.parse(f"http://127.0.0.1:{silent.getsockname()[1]}")
        machine(running("shop", hanging, serves=(Address.parse(url), DEAD)))
        assert target(arguments(instance="shop"))[0].url == url
