"""Operations for map types that lack one: each answers with the errno that Linux gives a user.

Programs get as far only unverified, since the verifier knows which type takes which helper.
"""

from __future__ import annotations

from xdpsim.maps.header import NEG_EINVAL, NEG_ENOTSUPP
from xdpsim.memory.native import native


@native
def no_lookup(rs: int, map_: int, key: int) -> int:
    """Programs may not look into this type of map."""
    return 0


@native
def refuse_lookup(rs: int, map_: int, key: int) -> int:
    """A user's lookup where the kernel itself says so: -ENOTSUPP in place of an address."""
    return NEG_ENOTSUPP


@native
def refuse_update(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """-ENOTSUPP."""
    return NEG_ENOTSUPP


@native
def refuse_delete(rs: int, map_: int, key: int) -> int:
    """-ENOTSUPP."""
    return NEG_ENOTSUPP


@native
def refuse_next_key(rs: int, map_: int, key: int, following: int) -> int:
    """-ENOTSUPP."""
    return NEG_ENOTSUPP


@native
def wrong_update(rs: int, map_: int, key: int, value: int, flags: int) -> int:
    """-EINVAL."""
    return NEG_EINVAL


@native
def wrong_delete(rs: int, map_: int, key: int) -> int:
    """-EINVAL."""
    return NEG_EINVAL


@native
def wrong_next_key(rs: int, map_: int, key: int, following: int) -> int:
    """-EINVAL."""
    return NEG_EINVAL


@native
def no_push(rs: int, map_: int, value: int, flags: int) -> int:
    """Only queues, stacks and Bloom filters are pushed to."""
    return NEG_ENOTSUPP


@native
def no_pop(rs: int, map_: int, value: int) -> int:
    """Only queues and stacks are popped; for peeks, too."""
    return NEG_ENOTSUPP
