"""Kinds of values that a register may hold: a base type and flags in one int (enum bpf_reg_type, enum bpf_type_flag).

The names are the kernel's (include/linux/bpf.h); the numbers are ours and appear nowhere outside the verifier.
"""

from __future__ import annotations

(
    NOT_INIT,
    SCALAR_VALUE,
    PTR_TO_CTX,
    CONST_PTR_TO_MAP,
    PTR_TO_MAP_VALUE,
    PTR_TO_MAP_KEY,
    PTR_TO_STACK,
    PTR_TO_PACKET_META,
    PTR_TO_PACKET,
    PTR_TO_PACKET_END,
    PTR_TO_FLOW_KEYS,
    PTR_TO_SOCKET,
    PTR_TO_SOCK_COMMON,
    PTR_TO_TCP_SOCK,
    PTR_TO_TP_BUFFER,
    PTR_TO_XDP_SOCK,
    PTR_TO_BTF_ID,
    PTR_TO_MEM,
    PTR_TO_ARENA,
    PTR_TO_BUF,
    PTR_TO_FUNC,
    CONST_PTR_TO_DYNPTR,
) = range(22)

BASE_MASK = 0xFF
(
    PTR_MAYBE_NULL,
    MEM_RDONLY,
    MEM_RINGBUF,
    MEM_USER,
    MEM_PERCPU,
    OBJ_RELEASE,
    PTR_UNTRUSTED,
    MEM_UNINIT,
    DYNPTR_TYPE_LOCAL,
    DYNPTR_TYPE_RINGBUF,
    MEM_FIXED_SIZE,
    MEM_ALLOC,
    PTR_TRUSTED,
    MEM_RCU,
    NON_OWN_REF,
    DYNPTR_TYPE_SKB,
    DYNPTR_TYPE_XDP,
    MEM_ALIGNED,
    MEM_WRITE,
    DYNPTR_TYPE_SKB_META,
) = (1 << bit for bit in range(8, 28))

DYNPTR_TYPES = DYNPTR_TYPE_LOCAL | DYNPTR_TYPE_RINGBUF | DYNPTR_TYPE_SKB | DYNPTR_TYPE_XDP | DYNPTR_TYPE_SKB_META
PACKET_TYPES = (PTR_TO_PACKET, PTR_TO_PACKET_META)


def base(kind: int) -> int:
    """The type without its flags."""
    return kind & BASE_MASK


def flags(kind: int) -> int:
    """The flags alone."""
    return kind & ~BASE_MASK
