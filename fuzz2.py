import random,sys,re
from collections import Counter
from tests.support.first_passes import *
from tests.support.jump_graphs import jump_graph
from xdpsim.isa.decode import decode
seen=Counter(); bad=0
for seed in range(int(sys.argv[1]), int(sys.argv[2])):
    raw=jump_graph(random.Random(seed)); o=our_log(spec_of(decode(raw))); k=linux_log(raw)
    seen[re.sub(r"-?\d+","N",o[1].splitlines()[-1]) if o[0] else "ok"]+=1
    if not agrees(o,k):
        bad+=1
        if bad<4: print(seed, o, k[0], k[1][:2000])
print(bad, seen)
