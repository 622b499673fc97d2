import random, sys, re
from collections import Counter
from tests.support.first_passes import *
from tests.support.call_graphs import call_graph
from xdpsim.verifier import stack_depth
from xdpsim.verifier.env import *
seen=Counter(); bad=0
for seed in range(int(sys.argv[1]), int(sys.argv[2])):
    code,sizes=call_graph(random.Random(seed))
    for t in ("XDP","KPROBE","TRACEPOINT"):
        err,log=linux_log(code,t)
        env=Env(spec_of(code,t),(),None,log_level=2)
        try:
            first_passes(env)
            for s,n in zip(env.subprogs,sizes): s.stack_depth=n
            stack_depth.check_max_stack_depth(env); mine=(0,"ok")
        except Refusal as r: mine=(r.errno,r.message)
        last=[l for l in log.splitlines() if l and not l.startswith("processed")][-1] if err else "ok"
        seen[re.sub(r"\d+","N",last)]+=1
        if mine!=(err,last):
            if "is too deep" in last and "call stack" in last and mine[0]!=err: pass
            bad+=1
            if bad<6: print(seed,t,mine,(err,last))
print(bad,seen)
