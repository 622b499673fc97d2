import sys
from pathlib import Path
from xdpsim.sim.sim import Sim
from xdpsim.loader.load import load_object
from xdpsim.engines.protocol import LoadedProgram
from xdpsim.engines.kernel.kfuncs import bind_kfuncs
from xdpsim.engines.kernel.instrument import bind_maps, maps_used
from xdpsim.sysbpf.programs import verifier_log
from xdpsim.verifier.env import Env, Refusal
from xdpsim.verifier.vmap import VMap
from xdpsim.verifier import subprogs, func_info, check_cfg, scc, live_regs
sim = Sim(engine="kernel")
def kernel(spec, maps, btf, level=2):
    e = sim.engine
    used = maps_used(spec.code)
    fds=[e.mirror(m).kernel.fd.number if i in used else -1 for i,m in enumerate(maps)]
    types = e._types_of(btf) if spec.func_info else None
    code = bind_maps(bind_kfuncs(spec.code, spec.kfuncs), fds)
    return verifier_log(e._definition(spec, code, types), level)
def ours(spec, btf, level=2):
    env = Env(spec, (), btf, log_level=level)
    try:
        func_info.check_early(env)
        subprogs.find_subprogs(env); subprogs.check_subprogs(env); func_info.check(env)
        check_cfg.check_cfg(env); scc.compute(env); live_regs.compute(env)
    except Refusal as r:
        return r.errno, "".join(env.log), env
    return 0, "".join(env.log), env
if __name__ == "__main__":
    import re
    for path in sorted(Path("programs").glob("*.o")):
        obj = load_object(path.read_bytes(), path.name)
        for name, spec in obj.programs.items():
            maps=[sim.machine.add_map(m) for m in obj.maps]
            try:
                k = kernel(spec, maps, obj.btf)
            except Exception as err:
                print(path.name, name, "KERNEL", err); continue
            o = ours(spec, obj.btf)
            mask=lambda s: re.sub(r"0xffff[0-9a-f]{12}", "PTR", re.sub(r"(call bpf_\w+#)\d+", r"\1N", s))
            kt=mask(k[1]); ot=mask(o[1])
            same = kt.startswith(ot)
            print(path.name, name, k[0], len(spec.code), "SAME" if same else "DIFF")
            if not same:
                n=0
                for a,b in zip(kt.splitlines(), ot.splitlines()):
                    if a!=b:
                        print("  K",a); print("  O",b); n+=1
                        if n>4: break
