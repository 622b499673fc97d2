"""xdpsim: run unmodified XDP and tc programs on captures and TAP devices, without root and without a kernel."""

from xdpsim.errors import InputError, Rejected, Unsupported, XdpsimBug
from xdpsim.progtypes.skb import TC
from xdpsim.progtypes.xdp import XDP
from xdpsim.sim.outcome import Outcome
from xdpsim.sim.sim import Sim

__version__ = "0.1.0"
__all__ = ["TC", "XDP", "InputError", "Outcome", "Rejected", "Sim", "Unsupported", "XdpsimBug", "__version__"]
