from probe import *
import re
seen=set()
for path in sorted(Path("programs").glob("*.o")):
    obj = load_object(path.read_bytes(), path.name)
    for name, spec in obj.programs.items():
        maps=[sim.machine.add_map(m) for m in obj.maps]
        k = kernel(spec, maps, obj.btf)
        for line in k[1].splitlines():
            for m in re.findall(r"fp-\d+=(?:dynptr|iter)\S*|refs=\S+|dynptr_ptr\S*", line):
                key=re.sub(r"\d+","N",m)
                if key not in seen: seen.add(key); print(m)
