"""The user's private cache of compiled code: entries are checksummed, written in one step, and never a stranger's."""

from __future__ import annotations

import atexit
import contextlib
import hashlib
import os
import shutil
import stat
import sys
import tempfile
from functools import cache
from pathlib import Path

from xdpsim.errors import InputError

_DIGEST_BYTES = 32


@cache
def cache_dir() -> Path:
    """A directory that only this user can write: XDPSIM_CACHE_DIR, the system's place for caches, or a private one.

    Compiled code is loaded from it, so a directory that belongs to somebody else, or that others may write, is refused
    when it was named by the user and passed over otherwise. A private one goes with the process; where not even that
    can be made, the path returned is one at which nothing can be kept.
    """
    named = os.environ.get("XDPSIM_CACHE_DIR")
    if named:
        problem = _prepare(Path(named))
        if problem:
            raise InputError(f"XDPSIM_CACHE_DIR={named}: {problem}", hint="name a directory of your own with mode 0700")
        return Path(named)
    try:
        usual = _usual_place()
    except RuntimeError:  # nobody knows a home directory of this user
        return _private_place()
    return _private_place() if _prepare(usual) else usual


def _private_place() -> Path:
    try:
        made = Path(tempfile.mkdtemp(prefix="xdpsim-cache-"))
    except OSError:
        return Path(os.devnull) / "xdpsim"
    atexit.register(shutil.rmtree, made, ignore_errors=True)
    return made


def _usual_place() -> Path:
    if sys.platform == "win32":
        return Path(os.environ.get("LOCALAPPDATA", str(Path.home()))) / "xdpsim" / "cache"
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Caches" / "xdpsim"
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "xdpsim"


def _prepare(path: Path) -> str:
    """Make the directory; what is wrong with it, or nothing."""
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        about = path.stat()
    except OSError as err:
        return f"cannot be used: {err.strerror}"
    if not os.access(path, os.W_OK | os.X_OK):
        return "is not writable"
    if sys.platform == "win32":
        return ""
    if about.st_uid != os.geteuid():
        return f"belongs to user {about.st_uid}, not to you ({os.geteuid()})"
    return f"may be written by others (mode {about.st_mode & 0o777:03o})" if about.st_mode & 0o022 else ""


def read_checked(path: Path) -> bytes | None:
    """The entry's content; None when it is missing, foreign or damaged, so that the caller builds it anew."""
    try:
        with open(path, "rb", opener=_open_at_once) as file:
            about = os.fstat(file.fileno())
            if not stat.S_ISREG(about.st_mode) or (sys.platform != "win32" and about.st_uid != os.geteuid()):
                return None
            data = file.read()
    except OSError:
        return None
    digest, content = data[:_DIGEST_BYTES], data[_DIGEST_BYTES:]
    return content if hashlib.sha256(content).digest() == digest else None


def _open_at_once(path: str, flags: int) -> int:
    """A pipe in an entry's place must not be waited for."""
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0))


def write_checked(path: Path, content: bytes) -> None:
    """Store an entry in one step: a reader at the same time sees the old one or the new one, never half of it.

    A full disk loses the cache entry, not the run.
    """
    try:
        handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=path.name)
        with os.fdopen(handle, "wb") as file:
            file.write(hashlib.sha256(content).digest() + content)
        os.replace(temporary, path)
    except OSError:
        return


def keep_newest(prefix: str, most: int) -> None:
    """Delete the oldest entries of a kind when there are more than `most`; whoever deletes first has done it."""
    entries: list[os.DirEntry[str]] = []
    with contextlib.suppress(OSError):
        entries += (entry for entry in os.scandir(cache_dir()) if entry.name.startswith(prefix))
    if len(entries) <= most:
        return
    ages = []
    for entry in entries:
        with contextlib.suppress(OSError):
            ages.append((entry.stat().st_mtime_ns, entry.path))
    for _, path in sorted(ages)[: len(entries) - most * 3 // 4]:
        with contextlib.suppress(OSError):
            os.unlink(path)


@cache
def sources_hash(folders: tuple[str, ...]) -> str:
    """Names, sizes and times of the package's source files in `folders`, and its version: what caches rest on."""
    package = Path(__file__).parents[1]
    made = hashlib.sha256((package / "__init__.py").read_bytes())  # the version is in it
    for folder in folders:
        for entry in sorted(os.scandir(package / folder), key=lambda entry: entry.name):
            if entry.name.endswith((".py", ".types", ".names")):
                about = entry.stat()
                made.update(f"{folder}/{entry.name} {about.st_size} {about.st_mtime_ns}\n".encode())
    return made.hexdigest()
