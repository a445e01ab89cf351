"""Claims: which process makes which run, when two processes fill one store.

A claim is a lock on one byte of a file beside the store. The operating system frees it when its process ends, however
it ends. So no claim remains without its process.
"""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

__all__ = ["Claims"]

_PRESENCE = 2**60
"""The byte that all processes that fill a store lock together; the bytes of runs are below it."""


class Claims:
    """The claims of this process. If the system has no such locks (Windows), every claim is granted."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "a+b")  # noqa: SIM115 - kept open as long as the claims

    def alone(self) -> bool:
        """Whether no other process has joined; none can as long as these claims are open, or until `join`."""
        return self._locked(exclusive=True, place=_PRESENCE)

    def join(self) -> None:
        """Declare that this process fills the store, so that no other process replaces the file."""
        self._locked(exclusive=False, place=_PRESENCE)

    def claim(self, key: str, seed: int) -> bool:
        """Claim a run; False if another process has claimed it."""
        return self._locked(exclusive=True, place=_place(key, seed))

    def _locked(self, *, exclusive: bool, place: int) -> bool:
        if sys.platform == "win32":
            return True
        import fcntl

        kind = fcntl.LOCK_EX if exclusive else fcntl.LOCK_SH
        try:
            fcntl.lockf(self._file, kind | fcntl.LOCK_NB, 1, place)
        except (BlockingIOError, PermissionError):  # systems differ in what they say
            return False
        return True

    def release(self, key: str, seed: int) -> None:
        """Give up a claim."""
        if sys.platform != "win32":
            import fcntl

            fcntl.lockf(self._file, fcntl.LOCK_UN, 1, _place(key, seed))

    def close(self) -> None:
        """Give up all claims."""
        self._file.close()


def _place(key: str, seed: int) -> int:
    return int.from_bytes(sha256(f"{key}/{seed}".encode()).digest()[:7], "big")
