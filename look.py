from probe import *
import sys
from xdpsim.isa.asm import assemble
from xdpsim.isa.decode import encode_all
from xdpsim.helpers.ids import HELPERS_BY_ID
H={h.name:h.id for h in HELPERS_BY_ID.values()}; H|={h.name[4:]:h.id for h in HELPERS_BY_ID.values()}
from xdpsim.sysbpf.programs import ProgramDefinition
def look(asm, level=2, type=6):
    code=assemble(asm, helpers=H)
    return verifier_log(ProgramDefinition(type=type, code=encode_all(code)), level)
if __name__=="__main__":
    # truncation: one insn writes fp-264 (spi 32) or fp-272
    e,l=look("""
    r6 = r1
    call ktime_get_ns
    r7 = r10
    r7 += -264
    if r0 == 1 goto a
    r7 += -8
    a: *(u64 *)(r7 +0) = r0
    r1 = r10
    call get_prandom_u32
    if r0 == 5 goto b
    b: r0 = *(u64 *)(r10 -264)
    r0 = *(u64 *)(r10 -272)
    exit
    """)
    print(e); print(l)
    e,l=look("""
    r6 = r1
    call ktime_get_ns
    r7 = r10
    r7 += -64
    if r0 == 1 goto a
    r7 += -8
    a: *(u64 *)(r7 +0) = r0
    r1 = r10
    call get_prandom_u32
    if r0 == 5 goto b
    b: r0 = *(u64 *)(r10 -64)
    r0 = *(u64 *)(r10 -72)
    exit
    """)
    print(e); print(l)
