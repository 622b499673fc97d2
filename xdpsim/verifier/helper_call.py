"""A call of a helper: may it be called here, are the arguments right, what is left of the state, what is in R0.

The arguments are checked by helper_args.py, rules of single helpers by helper_rules.py, R0 is made by
helper_returns.py. Follows check_helper_call() of kernel/bpf/verifier.c.
"""

from __future__ import annotations

import errno
from functools import cache
from typing import TYPE_CHECKING

from xdpsim.helpers.ids import HELPERS_BY_ID
from xdpsim.helpers.protos import Proto, proto_for
from xdpsim.helpers.rows import Control
from xdpsim.verifier import access, dynptr, locks, packet, refs
from xdpsim.verifier.arg_types import Kind, kind_of
from xdpsim.verifier.env import Env
from xdpsim.verifier.helper_args import CallMeta, Plan, check_func_arg
from xdpsim.verifier.helper_returns import set_return
from xdpsim.verifier.helper_rules import RULES, check_get_func_ip
from xdpsim.verifier.map_rules import check_map_func_compatibility, func_name, record_func_key, record_func_map
from xdpsim.verifier.regs import clear_caller_saved, is_null
from xdpsim.verifier.regtypes import MEM_ALLOC, MEM_PERCPU, MEM_RCU
from xdpsim.verifier.state import Reg

if TYPE_CHECKING:
    from xdpsim.isa.insn import Insn
