"""Daemons that run on this machine."""

import os

import pytest

from hvd.cli import daemons as module
from hvd.cli.client import Address
from hvd.cli.daemons import Daemon, daemon_of, running_daemons
from hvd.core import layout
from hvd.core.outside import KeptBlock

SHOP = KeptBlock("hvd-shop", os.geteuid(), layout.FORMAT, (os.getpid(),), 0)
OTHER = KeptBlock("hvd-other", 12_345, layout.FORMAT, (os.getpid(),), 0)


def test_a_daemon_has_the_addresses_of_its_instance(monkeypatch: pytest.MonkeyPatch) -> None:
    """The admin server's first."""
    admin, serves = Address.parse("unix:/run/hvd/shop/admin.sock"), Address.parse("http://127.0.0.1:8080")
    monkeypatch.setattr(module, "admin_addresses", lambda instance, user: [admin] if instance == "shop" else [])
    monkeypatch.setattr(module, "listening_addresses", lambda pid, inodes: [serves])
    assert daemon_of(SHOP) == Daemon("shop", SHOP, (admin,), (serves,))
    assert daemon_of(SHOP).addresses == (admin, serves)
    monkeypatch.setattr(module, "listening_addresses", lambda pid, inodes: [])
    monkeypatch.setattr(module, "service_addresses", lambda instance, user: [admin])
    assert daemon_of(SHOP).serves == (admin,)


def test_root_sees_everybody_s_and_others_their_own(monkeypatch: pytest.MonkeyPatch) -> None:
    """So without a name root means the only one of the machine, whoever's it is."""
    monkeypatch.setattr(module, "kept_blocks", lambda: iter([SHOP, OTHER]))
    monkeypatch.setattr(os, "geteuid", lambda: 0)
    assert [daemon.instance for daemon in running_daemons()] == ["shop", "other"]
    monkeypatch.setattr(os, "geteuid", lambda: OTHER.user)
    assert [daemon.instance for daemon in running_daemons()] == ["other"]
