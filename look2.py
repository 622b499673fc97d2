from probe import *
import re
from collections import Counter
kinds={}
for path in sorted(Path("programs").glob("*.o")):
    obj = load_object(path.read_bytes(), path.name)
    for name, spec in obj.programs.items():
        maps=[sim.machine.add_map(m) for m in obj.maps]
        k = kernel(spec, maps, obj.btf)
        for line in k[1].splitlines():
            for tok in re.findall(r"(?<= )(?:R\d+|fp-\d+|refs|cb|async_cb|frame\d:)(?:=\S+)?", line):
                key=re.sub(r"=.*?([a-z_0-9]*)\(",r"=\1(",tok); key=re.sub(r"-?(0x[0-9a-f]+|\d+)","N",tok)
                key=re.sub(r"RN=","R=",key); key=re.sub(r"(smin|smax|umin|umax|var_off|sminN|smaxN|uminN|umaxN)=+[^,()]*(\([^)]*\))?,?","",key)
                kinds.setdefault(key, tok)
for k,v in sorted(kinds.items()):
  if "map=" not in k or "or_null" in k: print(k, "   ", v)
