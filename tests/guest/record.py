"""Records what other kernels have: `python -m tests.guest.record 6.1` boots that Linux under qemu and asks it.

The answers go to tests/golden/linux-VERSION/since.json. Needs qemu-system-x86_64, gcc, apt-get and its repositories.
"""

from __future__ import annotations

import sys
from itertools import chain

from tests.guest import objects, questions
from tests.guest.boot import PACKAGES, run
from tests.support.oracle import golden_path
from tests.support.record import as_text


def main(versions: list[str]) -> int:
    """Record each version named, all of them when none is."""
    if unknown := set(versions) - PACKAGES.keys():
        print(f"no kernel package is known for {', '.join(sorted(unknown))}: expected {', '.join(PACKAGES)}")
        return 2
    for version in versions or PACKAGES:
        text = as_text(questions.golden_of(run(version, chain(questions.script(), objects.script()))))
        path = golden_path("since", version)
        path.parent.mkdir(parents=True, exist_ok=True)
        print(f"since {version}: {'as recorded' if path.exists() and path.read_text() == text else 'written'}")
        path.write_text(text)
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
