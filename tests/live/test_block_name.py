"""A daemon whose block's name is removed: seen, said, mended where it can be, and no number is lost in an upgrade."""

import os
import signal
import subprocess
import sys
from pathlib import Path

from hvd.core.slots import Slots
from tests.support.http import load
from tests.support.server import Server, upgradable
from tests.support.waiting import until

READER = """if True:
    import sys
    from multiprocessing import shared_memory
    shared_memory.SharedMemory(name=sys.argv[1]).close()"""


def test_a_daemon_outlives_its_blocks_name(tmp_path: Path) -> None:
    """Removed by a reader it is restored; removed for good, that is said, and there is no second daemon still."""
    server = Server(tmp_path, workers=1, interval=0.2)
    with upgradable(server), server.opened() as block:
        load(server.address, ["/hello"], clients=1, requests=50)
        node = server.block.stat().st_ino
        subprocess.run([sys.executable, "-W", "ignore", "-c", READER, server.block.name], check=True)
        until(lambda: "had been removed, and is there again" in server.log, "it is restored, and said")
        assert server.block.stat().st_ino == node
        server.wait_ready()

        server.block.unlink()  # as logind does
        server.spare.unlink()
        removed = f"{server.block} was removed: should hvd be killed, its totals are lost; restart it"
        degraded = ("degraded", [removed])
        until(lambda: ((health := server.get("/health").json())["status"], health["reasons"]) == degraded, "it is seen")
        until(lambda: "can't be restored" in server.log, "it is said")
        second = Server(tmp_path, instance=server.instance, workers=1)
        assert "belongs to a daemon that is running: stop it" in second.refusal()

        load(server.address, ["/hello"], clients=1, requests=50)
        server.signal(signal.SIGUSR2)
        until(lambda: len(block.masters()) == 2 and len(list(Slots(block).taken())) == 4, "both serve", 30)
        server.signal(signal.SIGTERM)
        assert server.wait() == 0
        assert server.counted()["/hello", 200] == 100
        assert "belongs to a daemon that is running: stop it" in second.refusal()
        os.kill(*block.masters(), signal.SIGTERM)  # the block has no name by which to ask for its masters
        until(lambda: not server.processes(), "the new master ends cleanly", 30)
        assert not server.block.exists()
    assert "Traceback" not in server.log
