"""Which daemon is meant, and when an upgrade is refused before anything is done; the rest is in tests/live."""

import argparse
import os

import pytest

from hvd.cli import upgrade
from hvd.cli.daemons import Daemon
from hvd.cli.upgrade import Upgrade, target_daemon
from hvd.core import layout
from hvd.core.block import Block
from hvd.core.locks import take_upgrade
from hvd.core.outside import KeptBlock
from hvd.errors import DaemonRefused, DaemonsAmbiguous, DaemonUnreachable


def daemon(name: str, *masters: int, user: int = os.geteuid()) -> Daemon:
    return Daemon(name.removeprefix("hvd-"), KeptBlock(name, user, layout.FORMAT, masters or (os.getpid(),), 0))


def test_the_daemon_is_that_of_the_settings_or_the_only_one(monkeypatch: pytest.MonkeyPatch) -> None:
    """Or the one that is named."""
    daemons = [daemon("hvd-shop"), daemon("hvd-web")]
    monkeypatch.setattr(upgrade, "running_daemons", lambda: daemons)
    for name in ("HVD_BIND", "HVD_INSTANCE", "HVD_CONFIG"):
        monkeypatch.delenv(name, raising=False)
    assert target_daemon("web") is daemons[1]
    with pytest.raises(DaemonsAmbiguous, match="2 daemons run: choose one by --instance: shop, web"):
        target_daemon(None)
    monkeypatch.setenv("HVD_INSTANCE", "shop")
    assert target_daemon(None) is daemons[0]
    monkeypatch.setenv("HVD_INSTANCE", "nobody")
    with pytest.raises(DaemonUnreachable, match="no daemon of the name nobody runs: these run: shop, web"):
        target_daemon(None)
    monkeypatch.delenv("HVD_INSTANCE")
    del daemons[0]
    assert target_daemon(None) is daemons[0]
    del daemons[0]
    with pytest.raises(DaemonUnreachable, match="no daemon runs here: none of this user runs"):
        target_daemon(None)


def test_a_name_that_two_users_daemons_have_is_one_s_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """Anybody may give a block any name. Whoever has none of them is not guessed for."""
    own, others = daemon("hvd-shop"), daemon("hvd-shop", user=12345)
    daemons = [others, own]
    monkeypatch.setattr(upgrade, "running_daemons", lambda: daemons)
    assert target_daemon("shop") is own
    daemons[1] = daemon("hvd-shop", user=12346)
    with pytest.raises(DaemonsAmbiguous, match=r"2 daemons have the name shop, of the users \(uid\) 12345, 12346"):
        target_daemon("shop")


def test_an_upgrade_is_refused_where_it_can_not_be(block: Block) -> None:
    """A line says why; nothing has been changed."""
    own = os.getpid()

    def refusal(*masters: int, user: int = os.geteuid()) -> str:
        found = Upgrade(daemon(block.name, *masters, user=user), 5.0)
        try:
            with pytest.raises(DaemonRefused) as refused:
                found.check()
        finally:
            os.close(found.block.fd)
        return str(refused.value)

    assert f"process {own}, which the block names as master, is another user's" in refusal(own, user=12345)
    held = os.open(f"/dev/shm/{block.name}", os.O_RDWR)
    assert take_upgrade(held)
    assert "another `hvd upgrade` of this daemon is under way" in refusal(own)
    os.close(held)
    assert f"two masters run, {own} and 4711" in refusal(own, 4711)
    block.cells[layout.H_FORMAT] += 1
    with pytest.raises(DaemonRefused, match="versions with different formats can't share a block: restart"):
        Upgrade(daemon(block.name), 5.0)


def test_its_arguments() -> None:
    """A time and a name."""
    parser = argparse.ArgumentParser()
    upgrade.add_arguments(parser)
    assert parser.parse_args([]).wait == upgrade.READY
    args = parser.parse_args(["--wait", "5", "--instance", "shop"])
    assert (args.wait, args.instance) == (5.0, "shop")
