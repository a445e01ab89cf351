"""Claims: who is at which run, when two processes fill one store.

A claim is a lock on one byte of a file beside the store. The system frees it when its process ends, however it ends, so
that no claim outlives the one who made it.
"""

from __future__ import annotations

import sys
from hashlib import sha256
from pathlib import Path

__all__ = ["Claims"]


class Claims:
    """The claims of this process. Where the system has no such locks (Windows) every claim is granted."""

    def __init__(self, path: Path) -> None:
        self._file = open(path, "ab")  # noqa: SIM115 - kept open as long as the claims

    def claim(self, key: str, seed: int) -> bool:
        """Claim a run; False if another process is at it."""
        if sys.platform == "win32":
            return True
        import fcntl

        try:
            fcntl.lockf(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB, 1, _place(key, seed))
        except BlockingIOError:
            return False
        except PermissionError:  # what some systems say instead
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
