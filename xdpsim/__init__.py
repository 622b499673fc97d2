"""xdpsim: run unmodified XDP and tc programs on captures and TAP devices, without root and without a kernel.

The public names load when they are first used, so that `import xdpsim` costs next to nothing in a program that may
not need it.
"""

from importlib import import_module
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from xdpsim.errors import InputError, Rejected, Unsupported, XdpsimBug
    from xdpsim.progtypes.skb import TC
    from xdpsim.progtypes.xdp import XDP
    from xdpsim.sim.outcome import Outcome
    from xdpsim.sim.sim import Sim

__version__ = "0.1.0"
__all__ = ["TC", "XDP", "InputError", "Outcome", "Rejected", "Sim", "Unsupported", "XdpsimBug", "__version__"]

_HOMES = {
    **dict.fromkeys(("InputError", "Rejected", "Unsupported", "XdpsimBug"), "xdpsim.errors"),
    "TC": "xdpsim.progtypes.skb",
    "XDP": "xdpsim.progtypes.xdp",
    "Outcome": "xdpsim.sim.outcome",
    "Sim": "xdpsim.sim.sim",
}


def __getattr__(name: str) -> object:
    if name not in _HOMES:
        raise AttributeError(f"module 'xdpsim' has no attribute {name!r}")
    value = globals()[name] = getattr(import_module(_HOMES[name]), name)
    return value


def __dir__() -> list[str]:
    return sorted(__all__)
