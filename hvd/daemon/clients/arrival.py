"""Is a request there? From the bytes that have come: no socket, no clock.

A thread is worth having only once it has nothing to wait for: when the whole head has come (RFC 9112, section 2.1), and
the body as far as it is announced (section 6.3), or ENOUGH of it. What the server's parser refuses without the rest is
there as well, as is what can't be understood: the parser says what is wrong with it.
"""

import re

from hvd.metrics.clients import HALF_BODY, HALF_HEAD, SILENT

THERE = -1
"""The stage of a request that needs no more waiting; the others are those of hvd/metrics/clients.py."""

ENOUGH = 64 * 1024
"""Bytes of a body that are waited for, and of a head. A receiver that doesn't read is sent some 90 KiB over TCP."""

LINE_MAX = 8190  # bytes of a request line, and of a chunk's size: gunicorn refuses longer ones before their end

_REQUEST_LINE = re.compile(rb"\S+ \S+ HTTP/\d\.\d|PROXY [^\r\n]*")
_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*([^\r\n]*)")
_CODING = re.compile(rb"\r\ntransfer-encoding[ \t]*:[ \t]*([^\r\n]*)")
_CHUNK_SIZE = re.compile(rb"([0-9A-Fa-f]{1,15})[ \t]*(?:;[^\r\n]*)?")

Bytes = bytes | bytearray


def is_simply_there(data: Bytes) -> bool:
    """Whether it begins with a whole head that announces no body, as most requests do; takes some 0.3 µs."""
    end = data.find(b"\r\n\r\n")
    if end < 0:
        return False
    head = data[:end].lower()
    return b"content-length" not in head and b"transfer-encoding" not in head


class Arrival:
    """A request that comes in pieces. It keeps how far it has looked, so each byte is looked at about once."""

    __slots__ = ("_at", "_is_chunked", "_is_expected", "_need", "head", "is_whole")

    def __init__(self) -> None:
        self.head = 0
        """Bytes of the head with its closing blank line; 0 until it is there."""
        self.is_whole = True
        """Whether a request that is THERE needs no more waiting for its body."""
        self._at = 0  # of a head: where its end is looked for; of a chunked body: where a chunk begins
        self._need = 0
        self._is_chunked = self._is_expected = False

    def stage(self, data: Bytes) -> int:
        """SILENT, HALF_HEAD, HALF_BODY or THERE. `data` is all that has come, and only grows from call to call."""
        if not self.head:
            end = data.find(b"\r\n\r\n", max(0, self._at - 3))
            if end < 0:
                self._at = len(data)
                return self._stage_of_head(data)
            self.head = self._at = end + 4
            self._read_head(data[: end + 2].lower())
        self.is_whole = len(data) >= self._need or (self._is_chunked and self._has_last_chunk(data))
        return THERE if self.is_whole or self._is_expected or len(data) >= self.head + ENOUGH else HALF_BODY

    def _stage_of_head(self, data: Bytes) -> int:
        if not data:
            return SILENT
        return THERE if len(data) >= ENOUGH or is_refused(data) else HALF_HEAD

    def _read_head(self, head: Bytes) -> None:
        """Set what the body needs: nothing where the parser refuses it. A client may wait for 100 Continue."""
        lengths, codings = _LENGTH.findall(head), _CODING.findall(head)
        self._is_expected = b"\r\nexpect" in head
        if not lengths and [coding.strip(b" \t") for coding in codings] == [b"chunked"]:
            self._is_chunked, self._need = True, 2**62
        elif len(lengths) == 1 and not codings and (length := lengths[0].strip(b" \t")).isdigit():
            self._need = self.head + int(length) if len(length) < 19 else 0

    def _has_last_chunk(self, data: Bytes) -> bool:
        """True too where a chunk's size can't be read (RFC 9112, section 7.1)."""
        while (end := data.find(b"\r\n", self._at)) >= 0:
            size = _CHUNK_SIZE.fullmatch(data[self._at : end])
            if not size:
                return True
            length = int(size[1], 16)
            if not length:
                return data.startswith(b"\r\n", end + 2) or data.find(b"\r\n\r\n", end + 2) >= 0
            if end + 4 + length > len(data):
                return False
            self._at = end + 4 + length
        return len(data) - self._at > LINE_MAX


def is_refused(data: Bytes) -> bool:
    """A part of a head that gunicorn's parser refuses without the rest (27.0.1, http/message.py, `_parse_python`)."""
    start = 2 if data.startswith(b"\r\n") else 0  # one empty line may come first
    end = data.find(b"\r\n", start)
    if end < 0:
        return len(data) - start > LINE_MAX or b"\n" in data[start:]
    return not _REQUEST_LINE.fullmatch(data[start:end]) or data.count(b"\n") != data.count(b"\r\n")
