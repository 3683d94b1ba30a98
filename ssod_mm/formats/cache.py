"""Where what was read from a data folder is kept, for several processes at once."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import tempfile
from collections.abc import Iterator
from pathlib import Path

from ssod_mm.errors import UserError

CACHE = ".ssod_mm"


def caches(root: Path) -> tuple[Path, Path]:
    """Where a converted folder may lie: in the data folder, or the user's cache."""
    home = os.environ.get("XDG_CACHE_HOME") or "~/.cache"
    code = hashlib.sha256(os.fsencode(root)).hexdigest()[:8]
    return root / CACHE, Path(home).expanduser() / "ssod_mm" / "data" / code


def writable_cache(root: Path) -> Path:
    """The first cache folder that can be written to.

    Raises:
        UserError: none can.
    """
    for cache in caches(root):
        with contextlib.suppress(OSError):
            cache.mkdir(parents=True, exist_ok=True)
            with tempfile.TemporaryFile(dir=cache):
                return cache
    places = " nor ".join(map(str, caches(root)))
    raise UserError(
        f"the converted annotations of {root} can be written neither to {places}: set "
        "XDG_CACHE_HOME to a folder of yours"
    )


@contextlib.contextmanager
def alone(cache: Path) -> Iterator[None]:
    """Let other processes wait, where the file system has locks.

    Without them each converts, and the first result stays.
    """
    with (cache / ".lock").open("w") as file:
        with contextlib.suppress(OSError):
            fcntl.flock(file, fcntl.LOCK_EX)
        yield
