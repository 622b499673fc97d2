"""Keys and values written as text or plain lists, without types: numbers, byte lists, hex, addresses, CIDR.

Typed values are values.py's. The byte-list shape is what `bpftool map dump -j` prints for a map without BTF.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Sequence
from typing import Literal

from xdpsim.errors import InputError

ByteOrder = Literal["little", "big"]

_NUMBER = re.compile(r"[+-]?(0[xX][0-9a-fA-F]{1,512}|0|[1-9][0-9]{0,600})")
_MAC = re.compile(r"[0-9a-fA-F]{2}([:-])[0-9a-fA-F]{2}(\1[0-9a-fA-F]{2}){4}")
_HEX_PAIRS = re.compile(r"[0-9a-fA-F]{2}([ :][0-9a-fA-F]{2})*")
_HEX_WORD = re.compile(r"0[xX]([0-9a-fA-F]{2})+")
PREFIX_SIZE = 4


def parse_int(text: str) -> int | None:
    """The number that `text` writes in decimal or as 0x.., None when it writes none."""
    return int(text, 0) if _NUMBER.fullmatch(text.strip()) else None


def parse_address(text: str, size: int) -> bytes | None:
    """An IPv4 (`size` 4), MAC (6) or IPv6 (16) address in network order; None when `text` is not one of that size."""
    text = text.strip()
    if size == 6:
        return bytes.fromhex(re.sub("[:-]", "", text)) if _MAC.fullmatch(text) else None
    try:
        if size == 4:
            return ipaddress.IPv4Address(text).packed
        return ipaddress.IPv6Address(text).packed if size == 16 and "%" not in text else None
    except ValueError:
        return None


def parse_hex(text: str, size: int = 0) -> bytes | None:
    """Bytes written as `0a 0b` or `0a:0b`, or as `0x0a0b` in that order; None when `text` is neither.

    Where `size` is given, that many pairs may also stand without anything between them.
    """
    text = text.strip()
    if _HEX_PAIRS.fullmatch(text):
        return bytes.fromhex(text.replace(":", " "))
    if size > 1 and len(text) == 2 * size and _HEX_WORD.fullmatch("0x" + text):
        return bytes.fromhex(text)
    return bytes.fromhex(text[2:]) if _HEX_WORD.fullmatch(text) else None


def shorthands(size: int) -> str:
    """What an array of `size` bytes may be written as, for a hint."""
    known = {4: "an IPv4 address, ", 6: "a MAC address, ", 16: "an IPv6 address, "}
    return f"{known.get(size, '')}a list of its elements, or for bytes {size} hex pairs"


def parse_bytes(items: Sequence[object], where: str) -> bytes:
    """Bytes from `[10, 0]` or bpftool's `["0x0a", "0x00"]`; InputError names the item that is not a byte."""
    found = bytearray()
    for index, item in enumerate(items):
        number = parse_int(item) if isinstance(item, str) else item
        if not isinstance(number, int) or isinstance(number, bool) or not 0 <= number <= 255:
            raise InputError(f"{where}[{index}]: {show(item)}, expected a byte, 0 to 255 or 0x00 to 0xff")
        found.append(number)
    return bytes(found)


def show(value: object) -> str:
    """A value as messages quote it: short."""
    if isinstance(value, int) and not isinstance(value, bool) and value.bit_length() > 256:
        return f"a number of {value.bit_length()} bits"
    if isinstance(value, (list, dict, tuple)):
        return f"{'an object' if isinstance(value, dict) else 'a list'} of {len(value)}"
    text = repr(value)
    return text if len(text) <= 60 else text[:57] + "..."


def fixed(data: bytes, size: int, where: str) -> bytes:
    """`data` if it has exactly `size` bytes, else InputError."""
    if len(data) != size:
        raise InputError(f"{where}: {len(data)} bytes, expected {size}")
    return bytes(data)


def encode_int(number: int, size: int, where: str, byteorder: ByteOrder = "little") -> bytes:
    """`number` in `size` bytes, negative ones as two's complement."""
    low, high = -(1 << size * 8 - 1) if size else 0, (1 << size * 8) - 1
    if not low <= number <= high:
        raise InputError(f"{where}: {show(number)}, expected {low} to {high} ({size} bytes)")
    return (number & high).to_bytes(size, byteorder)


def encode_plain(size: int, value: object, where: str = "value") -> bytes:
    """`size` bytes from a value whose type nobody knows.

    Numbers (also as text, `0x..` too) are little-endian. Lists hold bytes. Text may be an address of that size in
    network order, or hex pairs with blanks or colons; above 8 bytes also `0x` and all the digits, in that order.
    """
    if isinstance(value, (bytes, bytearray, memoryview)):
        return fixed(bytes(value), size, where)
    if isinstance(value, (list, tuple)):
        return fixed(parse_bytes(value, where), size, where)
    if isinstance(value, int) and not isinstance(value, bool):
        return encode_int(value, size, where)
    if isinstance(value, str):
        address = parse_address(value, size)
        if address is not None:
            return address
        number, data = parse_int(value), parse_hex(value)
        if number is not None and (size <= 8 or data is None or len(data) != size):
            return encode_int(number, size, where)
        if data is not None:
            return fixed(data, size, where)
    raise InputError(
        f"{where}: {show(value)}, expected {size} bytes",
        hint="without btf: a number, a list of bytes, hex pairs such as '0a 00', or an address of that size",
    )


def encode_lpm_key(size: int, text: str, where: str = "key", byteorder: ByteOrder = "little") -> bytes:
    """The key of an LPM trie, `struct {__u32 prefixlen; X data}` of `size` bytes, from CIDR text.

    `10.0.0.0/8` needs 4 bytes of data, `2001:db8::/32` 16; a bare address has the full length.
    """
    data_size = size - PREFIX_SIZE
    if data_size not in (4, 16):
        raise InputError(f"{where}: {show(text)} for a key of {size} bytes, expected a key of 8 (IPv4) or 20 (IPv6)")
    family = "IPv4" if data_size == 4 else "IPv6"
    address_text, slash, length_text = text.strip().partition("/")
    address = parse_address(address_text, data_size)
    if address is None:
        example = "10.0.0.0/8" if data_size == 4 else "2001:db8::/32"
        raise InputError(f"{where}: {show(text)}, expected an {family} network such as {example}")
    bits = data_size * 8
    length = int(length_text) if re.fullmatch(r"[0-9]{1,3}", length_text) else bits if not slash else -1
    if not 0 <= length <= bits:
        raise InputError(f"{where}: prefix length {show(length_text)} in {show(text)}, expected 0 to {bits}")
    host = int.from_bytes(address, "big") & (1 << bits - length) - 1
    if host:
        network = ipaddress.ip_network((address, length), strict=False)
        raise InputError(f"{where}: {show(text)} has bits set behind its prefix", hint=f"the network is {network}")
    return length.to_bytes(PREFIX_SIZE, byteorder) + address
