"""The network namespace in which programs run: empty but for its loopback and a TAP device per ifindex asked for.

So what a program finds out about the network does not depend on the host, and XDP's ingress_ifindex and DEVMAP
entries name devices that exist. Where the process may not make a namespace (CAP_SYS_ADMIN), the host's is used.
"""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os
import struct
from collections.abc import Iterator

from xdpsim.errors import InputError
from xdpsim.sysbpf.syscall import Fd, errno_name

_CLONE_NEWNET = 0x4000_0000
_OWN_NAMESPACE = "/proc/thread-self/ns/net"
_TUN = "/dev/net/tun"
_TUNSETIFF, _TUNSETIFINDEX = 0x4004_54CA, 0x4004_54DA
_IFF_TAP, _IFF_MULTI_QUEUE, _IFF_NO_PI = 0x2, 0x100, 0x1000
_LOOPBACK_IFINDEX = 1


class PrivateNetwork:
    """The namespace, made at first use; every thread that runs programs enters it for the time of a batch.

    `shared_network` is the one of this process: making one takes 5 ms, and the kernel longer to take it down.
    """

    def __init__(self) -> None:
        self._namespace: Fd | None = None
        self._refused = ""
        self._devices: dict[int, list[Fd]] = {}

    @contextlib.contextmanager
    def entered(self) -> Iterator[None]:
        """Be in the namespace, and afterwards where this thread was before."""
        if self._refused:
            yield
            return
        home = Fd(os.open(_OWN_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC))
        try:
            self._enter()
            yield
        finally:
            _set_namespace(home)
            home.close()

    def _enter(self) -> None:
        if self._namespace is not None:
            _set_namespace(self._namespace)
            return
        if ctypes.CDLL(None, use_errno=True).unshare(_CLONE_NEWNET) != 0:
            self._refused = f"{errno_name(ctypes.get_errno())} from unshare(CLONE_NEWNET)"
            return
        self._namespace = Fd(os.open(_OWN_NAMESPACE, os.O_RDONLY | os.O_CLOEXEC))

    def need_device(self, ifindex: int, queues: int = 1) -> None:
        """Have a device of that number with at least so many receive queues; to be called inside the namespace."""
        if ifindex <= _LOOPBACK_IFINDEX or self._refused:
            return
        held = self._devices.setdefault(ifindex, [])
        while len(held) < queues:
            held.append(_open_queue(ifindex, is_first=not held))


@functools.cache
def shared_network() -> PrivateNetwork:
    """The process's own; a device that one machine asked for is there for all, which no program can tell."""
    return PrivateNetwork()


def _open_queue(ifindex: int, *, is_first: bool) -> Fd:
    import fcntl  # not on Windows

    try:
        queue = Fd(os.open(_TUN, os.O_RDWR | os.O_CLOEXEC))
        if is_first:
            fcntl.ioctl(queue, _TUNSETIFINDEX, struct.pack("=I", ifindex))
        flags = _IFF_TAP | _IFF_NO_PI | _IFF_MULTI_QUEUE
        fcntl.ioctl(queue, _TUNSETIFF, struct.pack("=16sH14x", b"xdpsim%d" % ifindex, flags))
    except OSError as err:
        raise InputError(
            f"interface with ifindex {ifindex}: the kernel does not make a TAP device for it: {err.strerror}",
            hint=f"the kernel engine needs {_TUN} and CAP_NET_ADMIN to stand for interfaces",
        ) from err
    return queue


def _set_namespace(namespace: Fd) -> None:
    if ctypes.CDLL(None, use_errno=True).setns(namespace.number, _CLONE_NEWNET) != 0:
        raise InputError(f"network namespace: setns answers {errno_name(ctypes.get_errno())}")
