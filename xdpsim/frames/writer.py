"""Writing captures: pcapng with verdicts as xdpdump writes them, and plain pcap in nanoseconds.

Follows draft-ietf-opsawg-pcapng, section 4.3 (enhanced packet block); the verdict option is an octet for who decided
(2 = XDP, 1 = tc) and the 8-byte verdict in the byte order of the section, which Wireshark shows as
`frame.verdict.ebpf_xdp`. Little-endian always, nothing of the machine in the file: same packets, same bytes.
"""

from __future__ import annotations

import os
import struct
import sys
from collections.abc import Sequence
from typing import BinaryIO, Self

from xdpsim.bits import M64
from xdpsim.errors import InputError
from xdpsim.frames.linktype import EN10MB
from xdpsim.frames.record import MAX_CAPTURED_BYTES, Interface

BATCH_BYTES = 1 << 20
HOOKS = {"tc": 1, "xdp": 2}
DIRECTIONS = {"": 0, "in": 1, "out": 2}

_SECOND = 1_000_000_000
_COMMENT, _FLAGS, _PACKET_ID, _QUEUE, _VERDICT = 1, 2, 5, 6, 7
_IF_NAME, _IF_TSRESOL, _USER_APPLICATION = 2, 9, 4
_NANOSECONDS = 9
_END_OF_OPTIONS = bytes(4)
_OPTION_MAX_BYTES = 0xFFFF

_ENHANCED = struct.Struct("<7I")
_PCAP_RECORD = struct.Struct("<4I")
_FLAGS_OPTION = struct.Struct("<HHI")
_PACKET_ID_OPTION = struct.Struct("<HHQ")
_QUEUE_OPTION = struct.Struct("<HHI")
_VERDICT_OPTION = struct.Struct("<HHBQ3x")


class _Output:
    """A binary file written in batches of about a MiB."""

    def __init__(self, target: str | os.PathLike[str] | BinaryIO) -> None:
        self.name = "output"
        self._owned = False
        self._pending = bytearray()
        if not isinstance(target, str | os.PathLike):
            self._file = target
            return
        self.name = os.fspath(target)
        if self.name == "-":
            self.name = "standard output"
            self._file = sys.stdout.buffer
            return
        try:
            self._file = open(target, "wb", buffering=0)  # noqa: SIM115 - closed by close()
        except (OSError, ValueError) as err:
            raise InputError(f"{self.name}: cannot be written: {_reason(err)}") from err
        self._owned = True

    def add(self, *parts: bytes) -> None:
        for part in parts:
            self._pending += part
        if len(self._pending) >= BATCH_BYTES:
            self.flush()

    def flush(self) -> None:
        pending, self._pending = self._pending, bytearray()
        self.write_through(memoryview(pending))

    def write_through(self, view: memoryview) -> None:
        """Write now, without a copy; what is pending has to be flushed before."""
        try:
            while view:
                view = view[self._file.write(view) :]  # an unbuffered file may take a part only
            self._file.flush()
        except BrokenPipeError:
            raise  # the reader went away: for the caller, not a fault of the user's
        except OSError as err:
            raise InputError(f"{self.name}: cannot be written: {_reason(err)}") from err

    def close(self) -> None:
        if self._file.closed:
            return
        try:
            self.flush()
        finally:
            if self._owned:
                self._file.close()


def _reason(err: OSError | ValueError) -> str:
    return err.strerror if isinstance(err, OSError) and err.strerror else str(err)


class _Writer:
    """What both formats share: batching, closing and the checks of a packet."""

    def __init__(self, target: str | os.PathLike[str] | BinaryIO) -> None:
        self._output = _Output(target)
        self.count = 0

    def flush(self) -> None:
        """Hand everything to the operating system: a live reader sees it now."""
        self._output.flush()

    def close(self) -> None:
        """Write what is pending; close the file if its path was given. A second call does nothing more."""
        self._output.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _checked(self, data: bytes, time_ns: int, length: int | None, seconds_limit: int) -> int:
        """Length on the wire; InputError for a packet that no reader would take back."""
        if len(data) > MAX_CAPTURED_BYTES:
            raise InputError(
                f"{self._output.name}: packet {self.count + 1}: {len(data):,} bytes, "
                f"at most {MAX_CAPTURED_BYTES:,} would have been right"
            )
        if not 0 <= time_ns < seconds_limit * _SECOND:
            raise InputError(
                f"{self._output.name}: packet {self.count + 1}: time of {time_ns:,} ns since 1970, "
                f"0 to {seconds_limit:,} seconds would have been right"
            )
        self.count += 1
        return len(data) if length is None else max(length, len(data))


class PcapngWriter(_Writer):
    """Write pcapng: one interface description a device, one enhanced packet block a packet, times in nanoseconds."""

    def __init__(
        self,
        target: str | os.PathLike[str] | BinaryIO,
        interfaces: Sequence[str | Interface] = (),
        *,
        linktype: int = EN10MB,
    ) -> None:
        super().__init__(target)
        self._linktype = linktype
        self._interfaces = 0
        application = _option(_USER_APPLICATION, b"xdpsim") + _END_OF_OPTIONS
        self._output.add(_block(0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 1, 0, -1) + application))
        for interface in interfaces:
            self.add_interface(interface)

    def add_interface(self, interface: str | Interface) -> int:
        """Describe one more device, by name or with its link type and snapshot length; its number for `write`."""
        row = Interface(interface, self._linktype) if isinstance(interface, str) else interface
        options = _option(_IF_NAME, row.name.encode()) if row.name else b""
        options += _option(_IF_TSRESOL, bytes([_NANOSECONDS])) + _END_OF_OPTIONS
        self._output.add(_block(1, struct.pack("<HHI", row.linktype, 0, row.snaplen) + options))
        self._interfaces += 1
        return self._interfaces - 1

    def write(
        self,
        data: bytes,
        *,
        time_ns: int,
        interface: int = 0,
        length: int | None = None,
        packet_id: int | None = None,
        queue: int | None = None,
        verdict: int | None = None,
        hook: str = "xdp",
        direction: str = "",
        comment: str = "",
    ) -> None:
        """Write one packet; `length` is that on the wire where `data` holds less.

        `hook` ("xdp" or "tc") says whose `verdict` it is: any int, kept as 64 bits; `direction` is "", "in" or "out"; a
        `comment` ends after 65,535 bytes. InputError for an interface that was not described, or when the disk is full.
        """
        length = self._checked(data, time_ns, length, 1 << 33)
        if not 0 <= interface < self._interfaces:
            raise InputError(
                f"{self._output.name}: packet {self.count}: interface {interface}, but {self._interfaces} are described"
            )
        options = b""
        if comment:
            options = _option(_COMMENT, _clipped(comment))
        if direction:
            options += _FLAGS_OPTION.pack(_FLAGS, 4, DIRECTIONS[direction])
        if packet_id is not None:
            options += _PACKET_ID_OPTION.pack(_PACKET_ID, 8, packet_id & M64)
        if queue is not None:
            options += _QUEUE_OPTION.pack(_QUEUE, 4, queue)
        if verdict is not None:
            options += _VERDICT_OPTION.pack(_VERDICT, 9, HOOKS[hook], verdict & M64)
        if options:
            options += _END_OF_OPTIONS
        padding = bytes(-len(data) & 3)
        total = 32 + len(data) + len(padding) + len(options)
        head = _ENHANCED.pack(6, total, interface, time_ns >> 32, time_ns & 0xFFFF_FFFF, len(data), length)
        self._output.add(head, data, padding, options, head[4:8])

    def write_blocks(self, blocks: memoryview, count: int) -> None:
        """Write `count` finished enhanced packet blocks."""
        self._output.flush()
        self._output.write_through(blocks)
        self.count += count


class PcapWriter(_Writer):
    """Write plain pcap with nanoseconds; what the format has no room for (interface, verdict, comment) is dropped."""

    def __init__(
        self,
        target: str | os.PathLike[str] | BinaryIO,
        interfaces: Sequence[str | Interface] = (),
        *,
        linktype: int = EN10MB,
    ) -> None:
        super().__init__(target)
        self._output.add(struct.pack("<IHHiIII", 0xA1B23C4D, 2, 4, 0, 0, MAX_CAPTURED_BYTES, linktype))
        self._interfaces = len(interfaces)

    def add_interface(self, interface: str | Interface) -> int:
        """Count one more device, so that both writers number them alike."""
        self._interfaces += 1
        return self._interfaces - 1

    def write(self, data: bytes, *, time_ns: int, length: int | None = None, **_: int | str | None) -> None:
        """Write one packet; takes the keywords of `PcapngWriter.write` and keeps bytes, time and length."""
        length = self._checked(data, time_ns, length, 1 << 32)
        seconds, fraction = divmod(time_ns, _SECOND)
        self._output.add(_PCAP_RECORD.pack(seconds, fraction, len(data), length), data)


def open_writer(
    target: str | os.PathLike[str], interfaces: Sequence[str | Interface] = (), *, linktype: int = EN10MB
) -> PcapngWriter | PcapWriter:
    """The writer that a path asks for: plain pcap when it ends in `.pcap`, pcapng otherwise; `-` is standard output."""
    kind = PcapWriter if os.fspath(target).lower().endswith(".pcap") else PcapngWriter
    return kind(target, interfaces, linktype=linktype)


def _block(kind: int, body: bytes) -> bytes:
    total = struct.pack("<I", len(body) + 12)
    return struct.pack("<I", kind) + total + body + total


def _option(code: int, value: bytes) -> bytes:
    return struct.pack("<HH", code, len(value)) + value + bytes(-len(value) & 3)


def _clipped(comment: str) -> bytes:
    """As UTF-8 that fits an option, not cut inside a character."""
    encoded = comment.encode("utf-8", "replace")
    if len(encoded) <= _OPTION_MAX_BYTES:
        return encoded
    return encoded[:_OPTION_MAX_BYTES].decode("utf-8", "ignore").encode()
