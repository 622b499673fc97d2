"""Bytes of a capture, in order and once: files, pipes and standard input, unpacked when they are gzip.

`ByteSource` holds one window of the stream (about a chunk) and never seeks, so a 10 GB capture and a live pipe cost the
same memory. What the bytes mean is for pcap.py and pcapng.py. gzip follows RFC 1952, several members included.
"""

from __future__ import annotations

import os
import sys
import zlib
from collections.abc import Callable, Iterator
from typing import BinaryIO

from xdpsim.errors import InputError

CHUNK_BYTES = 1 << 20
GZIP_MAGIC = b"\x1f\x8b"

_GZIP_WINDOW = 16 + zlib.MAX_WBITS  # the flag that makes zlib expect gzip's header and trailer


def display_name(source: str | os.PathLike[str] | BinaryIO) -> str:
    """How messages call a source: its path as given, or `standard input`."""
    if isinstance(source, str | os.PathLike):
        return "standard input" if os.fspath(source) == "-" else os.fspath(source)
    name = getattr(source, "name", "")
    return name if isinstance(name, str) and name else "capture"


class ByteSource:
    """A forward-only window on a byte stream.

    `buffer[pos:]` is what was read and not yet used; a parser may keep both in locals, and stores `pos` back before it
    calls anything here. Offsets in messages count unpacked bytes.
    """

    __slots__ = ("_base", "_chunks", "_close", "_into", "buffer", "name", "packed", "pos")

    def __init__(self, source: str | os.PathLike[str] | BinaryIO) -> None:
        self.name = display_name(source)
        read, self._into, self._close = _opened(source, self.name)
        self._chunks = _chunks(read, self.name)
        self.buffer = b""
        self.pos = 0
        self._base = 0
        self.packed = False
        if self.need(2) and self.buffer.startswith(GZIP_MAGIC):
            self.packed = True
            self._chunks = _unpacked(self.buffer, self._chunks, self.name)
            self.buffer = b""
            self._into = None

    @property
    def offset(self) -> int:
        """Bytes of the (unpacked) stream before `pos`."""
        return self._base + self.pos

    @property
    def left(self) -> int:
        """Bytes in the window from `pos` on."""
        return len(self.buffer) - self.pos

    def need(self, count: int) -> bool:
        """Make `count` bytes available from `pos` on; False when the stream ends before."""
        have = len(self.buffer) - self.pos
        if have >= count:
            return True
        parts = [self.buffer[self.pos :]]
        while have < count:
            chunk = next(self._chunks, b"")
            if not chunk:
                break
            parts.append(chunk)
            have += len(chunk)
        self._base += self.pos
        self.buffer = b"".join(parts)
        self.pos = 0
        return have >= count

    def skip(self, count: int) -> int:
        """Drop up to `count` bytes without holding them; how many there were."""
        wanted = count
        while True:
            here = min(count, len(self.buffer) - self.pos)
            self.pos += here
            count -= here
            if not count or not self.need(1):
                return wanted - count

    def read_into(self, room: memoryview) -> int:
        """Move what comes next into `room`, without a copy where that can be; how many bytes, 0 at the end."""
        if not self.left and self._into is not None:
            try:
                count = self._into(room)
            except OSError as err:
                raise InputError(f"{self.name}: cannot be read: {err.strerror or err}") from err
            self._base += count
            return count
        if not self.need(1):
            return 0
        count = min(self.left, len(room))
        room[:count] = memoryview(self.buffer)[self.pos : self.pos + count]
        self.pos += count
        return count

    def give_back(self, data: bytes) -> None:
        """Take back the last bytes that were read: they come again."""
        self._base = self.offset - len(data)
        self.buffer, self.pos = data + self.buffer[self.pos :], 0

    def close(self) -> None:
        """Close what this object itself opened."""
        self._close()


Opened = tuple[Callable[[int], bytes], Callable[[memoryview], int] | None, Callable[[], None]]
"""How to read so many bytes, how to read into memory where that is possible, how to close."""


def _opened(source: str | os.PathLike[str] | BinaryIO, name: str) -> Opened:
    if not isinstance(source, str | os.PathLike):
        if not hasattr(source, "read"):
            raise InputError(f"capture: {type(source).__name__} given, a path or a binary file would have been right")
        # read1 gives what a pipe holds now instead of waiting for a full chunk.
        return getattr(source, "read1", source.read), None, lambda: None
    if os.fspath(source) == "-":
        if sys.stdin.isatty():
            raise InputError("standard input: is a terminal", hint="pipe a capture in: tcpdump -w - | xdpsim ...")
        stdin = sys.stdin.buffer
        return getattr(stdin, "read1", stdin.read), None, lambda: None
    try:
        file = open(source, "rb", buffering=0)  # noqa: SIM115 - closed by ByteSource.close
    except (OSError, ValueError) as err:
        reason = err.strerror if isinstance(err, OSError) and err.strerror else str(err)
        raise InputError(f"{name}: cannot be read: {reason}") from err
    return file.read, file.readinto, file.close


def _chunks(read: Callable[[int], bytes], name: str) -> Iterator[bytes]:
    while True:
        try:
            chunk = read(CHUNK_BYTES)
        except OSError as err:
            raise InputError(f"{name}: cannot be read: {err.strerror or err}") from err
        if not chunk:
            return
        if not isinstance(chunk, bytes):
            raise InputError(
                f"{name}: gives {type(chunk).__name__}, a file opened in binary mode would have been right"
            )
        yield chunk


def _unpacked(first: bytes, chunks: Iterator[bytes], name: str) -> Iterator[bytes]:
    """The unpacked stream; a chunk at a time, so that a gzip bomb costs time and no memory."""
    unpacker = zlib.decompressobj(_GZIP_WINDOW)
    packed = first
    while True:
        if not packed:
            packed = next(chunks, b"")
            if not packed:
                raise InputError(
                    f"{name}: the gzip stream ends early", hint="was it cut while it was written or copied?"
                )
        try:
            plain = unpacker.decompress(packed, CHUNK_BYTES)
        except zlib.error as err:
            raise InputError(f"{name}: damaged gzip stream: {err}") from err
        packed = unpacker.unconsumed_tail
        if plain:
            yield plain
        if unpacker.eof:
            packed = _next_member(unpacker.unused_data, chunks)
            if not packed:
                return
            unpacker = zlib.decompressobj(_GZIP_WINDOW)


def _next_member(rest: bytes, chunks: Iterator[bytes]) -> bytes:
    """What follows a gzip member, without the zero padding that gzip(1) allows there."""
    while not (rest := rest.lstrip(b"\0")):
        chunk = next(chunks, b"")
        if not chunk:
            return b""
        rest = chunk
    return rest
