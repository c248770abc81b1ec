"""How long a broadcast takes, side by side: `python bench/broadcast.py [--clients 1000 4000 9000] [--rounds 15]`.

Each way of sending has a server process and a client process of its own, all alive at once; their rounds take turns,
so that a slow moment of the machine hits all alike. A round lasts from the start of the send until the last client
has received the whole frame. Keepalive is switched on everywhere, with an interval that no run reaches.
"""

import argparse
import asyncio
import contextlib
import gc
import multiprocessing
import os
import resource
import select
import socket
import statistics
import sys
import time
from collections.abc import Iterable
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

import simple_websocket
import websockets.asyncio.server

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
from hvd.agg import protocol
from hvd.agg.client import Limits
from hvd.agg.hub import Hub

TEXT = "x" * 1024
FRAME = protocol.text_frame(TEXT)
PONG = b"\x8a\x80\0\0\0\0"  # each client sends one, so that memory includes what parsing needs
REQUEST = (
    b"GET /ws HTTP/1.1\r\nHost: bench\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
    b"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n"
)
KEEPALIVE = 600.0  # s
AT_ONCE = 64  # handshakes in flight
BACKLOG = 4096
PATIENCE = 120.0  # s for any single step, then the run fails


class Rows:
    """Rows of a block in which nothing is counted."""

    def count(self, *what: object) -> None: ...
    def count_response(self, *what: object) -> None: ...


class Plain:
    """Non-blocking sockets and nothing else: the floor."""

    def __init__(self) -> None:
        self.sockets: list[socket.socket] = []

    async def serve(self, listener: socket.socket) -> None:
        await accept_all(listener, self.adopt)

    async def adopt(self, sock: socket.socket, headers: dict[str, str]) -> None:
        sock.send(protocol.handshake(headers).data)
        self.sockets.append(sock)

    def broadcast(self) -> None:
        for sock in self.sockets:
            sock.send(FRAME)


class HvdHub(Plain):
    """hvd's hub, from the text on."""

    def __init__(self) -> None:
        self.hub = Hub(
            rows=Rows(),  # type: ignore[arg-type]
            greeting=lambda _: (),
            limits=Limits(KEEPALIVE, KEEPALIVE),
            max_clients=10**6,
        )

    async def adopt(self, sock: socket.socket, headers: dict[str, str]) -> None:
        self.hub.adopt(sock, headers)

    def broadcast(self) -> None:
        self.hub.broadcast(TEXT)


class AioServer(Plain):
    """simple_websocket's asyncio server, with one frame encoded beforehand."""

    def __init__(self) -> None:
        self.servers: list[Any] = []

    async def adopt(self, sock: socket.socket, headers: dict[str, str]) -> None:
        server = await simple_websocket.AioServer.accept(sock=sock, headers=headers, ping_interval=KEEPALIVE)
        self.servers.append(server)

    def broadcast(self) -> None:
        for server in self.servers:
            server.wsock.write(FRAME)


class Websockets:
    """websockets.broadcast; without compression, as everywhere here."""

    def __init__(self) -> None:
        self.connections: set[websockets.asyncio.server.ServerConnection] = set()

    async def serve(self, listener: socket.socket) -> None:
        await websockets.asyncio.server.serve(
            self.stay,
            sock=listener,
            backlog=BACKLOG,
            compression=None,
            ping_interval=KEEPALIVE,
            ping_timeout=KEEPALIVE,
        )

    async def stay(self, connection: websockets.asyncio.server.ServerConnection) -> None:
        self.connections.add(connection)
        await connection.wait_closed()

    def broadcast(self) -> None:
        websockets.asyncio.server.broadcast(self.connections, TEXT)


CONTESTANTS: dict[str, type[Plain] | type[Websockets]] = {
    "plain sockets": Plain,
    "hvd hub": HvdHub,
    "simple_websocket.AioServer": AioServer,
    "websockets.broadcast": Websockets,
}


async def accept_all(listener: socket.socket, adopt: Any) -> None:
    """Do a worker's part for each connection: read the request, pass the socket on."""
    loop = asyncio.get_running_loop()
    tasks = set()

    async def one(sock: socket.socket) -> None:
        request = await loop.sock_recv(sock, 4096)
        lines = request.decode().strip().split("\r\n")[1:]
        await adopt(sock, {name.lower(): value for name, value in (line.split(": ", 1) for line in lines)})

    while True:
        sock, _ = await loop.sock_accept(listener)
        task = asyncio.create_task(one(sock))
        tasks.add(task)
        task.add_done_callback(tasks.discard)


def resident() -> int:
    """-> bytes of this process in memory."""
    gc.collect()
    pages = int(Path("/proc/self/statm").read_text().split()[1])
    return pages * resource.getpagesize()


def run_server(contestant: type[Plain] | type[Websockets], listener: socket.socket, pipe: Connection) -> None:
    """The server process: obeys "memory" (-> bytes) and "send" (-> ns at the start), ends with the pipe."""
    listener.setblocking(False)
    raise_limit()

    async def main() -> None:
        server = contestant()
        serving = asyncio.create_task(server.serve(listener))
        wishes: asyncio.Queue[str] = asyncio.Queue()

        def read() -> None:
            try:
                wishes.put_nowait(pipe.recv())
            except EOFError:
                wishes.put_nowait("end")

        asyncio.get_running_loop().add_reader(pipe.fileno(), read)
        while (wish := await wishes.get()) != "end":
            if wish == "memory":
                pipe.send(resident())
            else:
                began = time.monotonic_ns()
                server.broadcast()
                pipe.send(began)
        serving.cancel()
        sys.stdout.flush()
        os._exit(0)  # thousands of connections need no orderly end here

    asyncio.run(main())


def run_clients(address: Any, family: int, n: int, pipe: Connection) -> None:
    """The client process: connects (-> s), then at each "receive" says so, and -> ns when the last has the frame."""
    raise_limit()
    began = time.monotonic()
    clients: list[socket.socket] = []
    for first in range(0, n, AT_ONCE):
        batch = [connect(address, family) for _ in range(min(AT_ONCE, n - first))]
        for sock in batch:
            head = b""
            while b"\r\n\r\n" not in head:
                head += sock.recv(4096)
            assert b" 101 " in head, head
        clients += batch
    pipe.send(time.monotonic() - began)
    epoll = select.epoll()
    by_fd = {sock.fileno(): sock for sock in clients}
    for fd, sock in by_fd.items():
        sock.sendall(PONG)
        epoll.register(fd, select.EPOLLIN)
    with contextlib.suppress(EOFError):
        while pipe.recv() == "receive":
            pipe.send("ready")
            receive_all(epoll, by_fd)
            pipe.send(time.monotonic_ns())


def connect(address: Any, family: int) -> socket.socket:
    sock = socket.socket(family)
    sock.settimeout(PATIENCE)
    sock.connect(address)
    sock.sendall(REQUEST)
    return sock


def receive_all(epoll: select.epoll, by_fd: dict[int, socket.socket]) -> None:
    """Read until each client has one frame."""
    missing = dict.fromkeys(by_fd, len(FRAME))
    deadline = time.monotonic() + PATIENCE
    while missing:
        assert time.monotonic() < deadline, f"{len(missing)} clients got no whole frame"
        for fd, _ in epoll.poll(1, 1024):
            missing[fd] -= len(by_fd[fd].recv(65536))
            if not missing[fd]:
                del missing[fd]


def raise_limit() -> None:
    hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
    resource.setrlimit(resource.RLIMIT_NOFILE, (hard, hard))


class Pair:
    """A contestant's two processes, seen from the main one."""

    def __init__(self, name: str, clients: int, family: int) -> None:
        context = multiprocessing.get_context("spawn")  # no descriptor is inherited: each ends when the main one does
        # an abstract name leaves no file behind
        where: Any = ("127.0.0.1", 0) if family == socket.AF_INET else f"\0hvd-bench-{os.getpid()}-{name}"
        with socket.socket(family) as listener:
            listener.bind(where)
            listener.listen(BACKLOG)
            self.server, server_end = context.Pipe()
            self.clients, clients_end = context.Pipe()
            jobs: Iterable[tuple[Any, tuple[Any, ...]]] = (
                (run_server, (CONTESTANTS[name], listener, server_end)),
                (run_clients, (listener.getsockname(), family, clients, clients_end)),
            )
            self.processes = [context.Process(target=target, args=args, daemon=True) for target, args in jobs]
            self.processes[0].start()
            before = self.ask_memory()
            self.processes[1].start()
        server_end.close()
        clients_end.close()
        self.handshakes = clients / answer(self.clients)
        self.times: list[float] = []
        self.round()  # warms up, and isn't counted
        self.times.clear()
        self.memory = (self.ask_memory() - before) / 1024 / clients

    def ask_memory(self) -> int:
        self.server.send("memory")
        return int(answer(self.server))

    def round(self) -> None:
        """One broadcast; its time in ms goes to `times`."""
        self.clients.send("receive")
        answer(self.clients)
        self.server.send("send")
        began = answer(self.server)
        self.times.append((answer(self.clients) - began) / 1e6)

    def end(self) -> None:
        for process in self.processes:
            process.kill()
            process.join()
            process.close()
        self.server.close()
        self.clients.close()


def answer(pipe: Connection) -> Any:
    if not pipe.poll(PATIENCE):
        raise TimeoutError("a process of the benchmark doesn't answer")
    return pipe.recv()


def measure(clients: int, rounds: int, family: int) -> None:
    """Print the table for one number of clients."""
    pairs: dict[str, Pair] = {}
    try:
        for name in CONTESTANTS:
            pairs[name] = Pair(name, clients, family)
        for _ in range(rounds):
            for pair in pairs.values():
                pair.round()
    finally:
        for pair in pairs.values():
            pair.end()
    floor = statistics.median(pairs["plain sockets"].times)
    print(f"\n{clients} clients, {len(FRAME)} bytes, {rounds} rounds, {'TCP' if family == socket.AF_INET else 'unix'}")
    print(f"{'':28}{'median ms':>10}{'best ms':>10}{'x plain':>10}{'KiB/client':>12}{'handshakes/s':>14}")
    for name, pair in pairs.items():
        median = statistics.median(pair.times)
        print(
            f"{name:28}{median:10.1f}{min(pair.times):10.1f}{median / floor:10.2f}{pair.memory:12.1f}"
            f"{pair.handshakes:14.0f}",
            flush=True,
        )


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--clients", type=int, nargs="+", default=[1000, 4000, 9000])
    parser.add_argument("--rounds", type=int, default=15)
    parser.add_argument("--unix", action="store_true", help="unix sockets instead of TCP over loopback")
    chosen = parser.parse_args()
    room = resource.getrlimit(resource.RLIMIT_NOFILE)[1] - 100
    print(f"Python {sys.version.split()[0]}, {os.cpu_count()} CPUs, Linux {os.uname().release}")
    for clients in chosen.clients:
        if clients > room:
            print(f"\n{clients} clients: left out, a process may open {room} files here")
            continue
        measure(clients, chosen.rounds, socket.AF_UNIX if chosen.unix else socket.AF_INET)


if __name__ == "__main__":
    main()
