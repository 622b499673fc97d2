import random, sys
from tests.support.first_passes import *
from tests.support.liveness_replay import *
from tests.support.stack_programs import stack_program
bad=ok=rej=lines=0
for seed in range(int(sys.argv[1]), int(sys.argv[2])):
    try: code=stack_program(random.Random(seed))
    except Exception as e: print(e); break
    err,log=linux_log(code)
    if err and "combined stack" not in log:
        rej+=1
        if rej<3: print(log[-400:])
        continue
    theirs=liveness_lines(log)
    try: ours=Replay(code).run(log)
    except Exception as e: ours=[repr(e)]
    ok+=1; lines+=len(theirs)
    if ours!=theirs:
        bad+=1
        if bad<2:
            print(seed); print(len(log)); 
            for i,(a,b) in enumerate(zip(ours,theirs)):
                if a!=b: print(i,"O",a,"K",b); break
            print(len(ours),len(theirs), ours[:3])
print(ok,bad,rej,lines)
