from collections import Counter
from tests.support.first_passes import *
from xdpsim.helpers.ids import *
from xdpsim.isa.asm import assemble
n=Counter()
for t in HELPERS_OF_TYPE:
    for i in list(HELPERS_BY_ID)+[0,300]:
        code=assemble(f"call {i}; r0 = 0; exit") if False else None
        from xdpsim.isa.decode import SLOT, decode
        raw=SLOT.pack(0x85,0,0,i)+SLOT.pack(0xb7,0,0,0)+SLOT.pack(0x95,0,0,0)
        try: o=our_log(spec_of(decode(raw), t))
        except Exception as e: o=(99,repr(e))
        k=linux_log(raw,t)
        if not agrees(o,k):
            n[t]+=1
            if n[t]<4: print(t,i,HELPERS_BY_ID.get(i), o, k[0], k[1][:400])
print(n)
