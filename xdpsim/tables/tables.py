"""The world around one emulated machine, in one place: what helpers read and `sim` fills.

Everything starts as in a new network namespace: a loopback that is down, no routes, sockets or connections, and no task
but the idle one. `machine.part(Tables)` gives a machine's own.
"""

from __future__ import annotations

from xdpsim.tables.address_routes import address_routes
from xdpsim.tables.conntrack import Conntrack
from xdpsim.tables.interfaces import Interface, Interfaces
from xdpsim.tables.neighbours import Neighbours
from xdpsim.tables.records import Memory
from xdpsim.tables.routes import Route, Routes
from xdpsim.tables.sockets import Sockets
from xdpsim.tables.tasks import Tasks


class Tables:
    """All tables of a machine."""

    def __init__(self, machine: Memory) -> None:
        self.interfaces = Interfaces()
        self.routes = Routes()
        self.neighbours = Neighbours()
        self.sockets = Sockets(machine)
        self.conntrack = Conntrack(machine)
        self.tasks = Tasks(machine)
        self._derived: dict[int, list[Route]] = {}

    def refresh_routes(self, interface: Interface) -> None:
        """Make the routes that follow from an interface's addresses, in the place of those made before."""
        self.routes.discard(self._derived.get(interface.ifindex, []))
        self._derived[interface.ifindex] = list(address_routes(interface))
        for route in self._derived[interface.ifindex]:
            self.routes.add(route)
