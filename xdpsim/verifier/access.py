"""Memory as programs touch it, in one place for those who ask: insns, regions behind pointers, arguments of calls.

The functions are those of mem_access.py, mem_insns.py, mem_args.py and region.py.
"""

from __future__ import annotations

from xdpsim.verifier.mem_access import check_buffer_access, check_mem_access
from xdpsim.verifier.mem_args import check_helper_mem_access, check_mem_reg, check_mem_size_reg
from xdpsim.verifier.mem_insns import check_atomic, check_load_mem, check_store_imm, check_store_reg, save_access_type
from xdpsim.verifier.region import (
    ACCESS_DIRECT,
    ACCESS_HELPER,
    also_fail,
    check_map_access,
    check_map_access_type,
    check_mem_region,
    check_packet_access,
    check_ptr_off_reg,
    may_access_direct_pkt_data,
)

__all__ = [
    "ACCESS_DIRECT",
    "ACCESS_HELPER",
    "also_fail",
    "check_atomic",
    "check_buffer_access",
    "check_helper_mem_access",
    "check_load_mem",
    "check_map_access",
    "check_map_access_type",
    "check_mem_access",
    "check_mem_reg",
    "check_mem_region",
    "check_mem_size_reg",
    "check_packet_access",
    "check_ptr_off_reg",
    "check_store_imm",
    "check_store_reg",
    "may_access_direct_pkt_data",
    "save_access_type",
]
