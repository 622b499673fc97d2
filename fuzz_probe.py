import random, sys, time, re
from probe import *
from xdpsim.isa.decode import SLOT, decode, encode_all
from xdpsim.loader.model import ProgramSpec, Subprogram
from xdpsim.sysbpf.programs import ProgramDefinition
def spec_of(code, type="XDP"):
    return ProgramSpec("p", "p", type, 0, code, (Subprogram("p",0),), (), "GPL")
def graph(rng):
    n = rng.randrange(1, 16)
    out=[]
    def off(): 
        if rng.random()<0.04: return rng.randrange(-n-3, n+3)
        return rng.randrange(-len(out)-1, n-len(out)) if rng.random()<0.4 else rng.randrange(0,4)
    while len(out) < n:
        k = rng.random()
        if k<0.28: out.append(SLOT.pack(0xb7, rng.randrange(10), 0, rng.randrange(4)))
        elif k<0.55: out.append(SLOT.pack(rng.choice((0x15,0x25,0xa5,0x56)), rng.randrange(10), off(), 3))
        elif k<0.67: out.append(SLOT.pack(0x05, 0, off(), 0))
        elif k<0.71: out.append(SLOT.pack(0x06, 0, 0, off()))
        elif k<0.79: out.append(SLOT.pack(0x95,0,0,0))
        elif k<0.86: out.append(SLOT.pack(0x85, 0x10, 0, off()))
        elif k<0.89: out.append(SLOT.pack(0x85, 0, 0, rng.choice((5,7,12,1,2,44,8))))
        elif k<0.91: out.append(SLOT.pack(0xe5, 0, off(), 0))
        elif k<0.97: out += [SLOT.pack(0x18, rng.randrange(10), 0, 7), SLOT.pack(0,0,0,0)]
        elif k<0.98: out += [SLOT.pack(0x18, 0x40|rng.randrange(10), 0, off()), SLOT.pack(0,0,0,0)]
        else: out.append(SLOT.pack(0x85, 0, 0, 181))
    if rng.random()<0.8: out.append(rng.choice((SLOT.pack(0x95,0,0,0), SLOT.pack(0x05,0,off(),0))))
    return b"".join(out)
if __name__ == "__main__":
    seed0=int(sys.argv[1]); count=int(sys.argv[2]); from collections import Counter
    seen=Counter(); bad=0; t=time.time()
    for seed in range(seed0, seed0+count):
        raw=graph(random.Random(seed)); code=decode(raw); spec=spec_of(code)
        e,log,env=ours(spec,None)
        ke,klog=verifier_log(ProgramDefinition(type=6, code=raw), 2)
        key=log.splitlines()[-1] if e else "ok"
        seen[re.sub(r"\d+","N",key)]+=1
        good = klog.startswith(log) and (not e or (ke==e and klog[len(log):].startswith("processed 0")))
        if not good:
            bad+=1
            if bad<6:
                print(seed,e,ke); print(log); print(klog[:1500]); print("-----")
    print(bad, seen, time.time()-t)
