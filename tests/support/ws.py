"""Raw WebSocket clients (RFC 6455) for tests that need many, or ill-behaved ones."""

import json
import socket
import struct
from typing import Any

from tests.support.http import Address, connect

TEXT, BINARY, CLOSE, PING, PONG = 1, 2, 8, 9, 10
PROPER = {
    "Host": "test",
    "Upgrade": "websocket",
    "Connection": "Upgrade",
    "Sec-WebSocket-Version": "13",
    "Sec-WebSocket-Key": "dGhlIHNhbXBsZSBub25jZQ==",
}
"""The headers of a handshake, with the key of RFC 6455, section 1.3."""


class RawWebSocket:
    """A client on a blocking socket: handshake, then frames as they come. Only `message` answers anything.

    `early` is sent with the request, in one piece.
    """

    def __init__(
        self, address: Address, path: str = "/ws", timeout: float = 15, early: bytes = b"", **headers: str
    ) -> None:
        self.sock = connect(address, timeout)
        lines = {**PROPER, **{name.replace("_", "-"): value for name, value in headers.items()}}
        request = f"GET {path} HTTP/1.1\r\n" + "".join(f"{name}: {value}\r\n" for name, value in lines.items())
        self._data = b""
        try:
            self.sock.sendall(request.encode() + b"\r\n" + early)
            while b"\r\n\r\n" not in self._data:
                self._receive()
        except BaseException:
            self.sock.close()
            raise
        head, _, self._data = self._data.partition(b"\r\n\r\n")
        self.status = int(head.split()[1])
        self.head = head.decode("latin-1")

    def _receive(self) -> None:
        data = self.sock.recv(65536)
        if not data:
            raise ConnectionError("closed")
        self._data += data

    def frame(self) -> tuple[int, bytes]:
        """The next frame's opcode and payload. Raises ConnectionError at the end, TimeoutError."""
        size, start = self._size()
        while len(self._data) < start + size:
            self._receive()
        opcode, payload = self._data[0] & 15, self._data[start : start + size]
        self._data = self._data[start + size :]
        return opcode, payload

    def _size(self) -> tuple[int, int]:
        for length, form in ((2, ""), (4, ">H"), (10, ">Q")):
            while len(self._data) < length:
                self._receive()
            short = self._data[1] & 127
            if form and short == {">H": 126, ">Q": 127}[form]:
                return struct.unpack(form, self._data[2:length])[0], length
            if not form and short < 126:
                return short, 2
        raise AssertionError("unreachable")

    def message(self, kind: str = "metrics") -> dict[str, Any]:
        """The next message of that type, or of any if it is empty; pings are answered meanwhile.

        Raises ConnectionError at the end, TimeoutError.
        """
        while True:
            opcode, payload = self.frame()
            if opcode == TEXT:
                message: dict[str, Any] = json.loads(payload)
                if kind in ("", message["type"]):
                    return message
            if opcode == PING:
                self.send(PONG, payload)
            if opcode == CLOSE:
                raise ConnectionError(f"closed by the server: {payload!r}")

    def send(self, opcode: int, payload: bytes, *, masked: bool = True) -> None:
        self.sock.sendall(client_frame(opcode, payload, masked=masked))

    def close(self) -> None:
        self.sock.close()

    def abandon(self) -> None:
        """Reset the connection, as a crashed client's machine would."""
        self.sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.sock.close()

    def __enter__(self) -> "RawWebSocket":
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def client_frame(opcode: int, payload: bytes = b"", *, final: bool = True, masked: bool = True) -> bytes:
    """The bytes of a frame as a client sends it."""
    size, bit = len(payload), 0x80 if masked else 0
    if size < 126:
        length = bytes([bit | size])
    elif size < 1 << 16:
        length = bytes([bit | 126]) + struct.pack(">H", size)
    else:
        length = bytes([bit | 127]) + struct.pack(">Q", size)
    head = bytes([(0x80 if final else 0) | opcode]) + length
    if not masked:
        return head + payload
    mask = b"\x5a\x17\xc3\x88"  # not by chance: names of tests, which processes that share them compare, hold frames
    return head + mask + bytes(byte ^ mask[i % 4] for i, byte in enumerate(payload))
