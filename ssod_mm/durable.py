"""Files that are there whole or not at all, whenever a process is killed."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

from mmengine.fileio import LocalBackend, register_backend


def write_durably(path: str | Path, content: bytes | str) -> None:
    """Replace a file by draft, sync and rename: a reader sees the old or the new one.

    Args:
        path: the file; its folder is made if needed.
        content: bytes, or text that is written in UTF-8.

    Raises:
        OSError: the disk is full or read-only. The old file is still there.
    """
    path = Path(path)
    data = content.encode("utf-8") if isinstance(content, str) else content
    draft = path.with_name(f".{path.name}.{os.getpid()}.draft")
    path.parent.mkdir(parents=True, exist_ok=True)
    try:
        with draft.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        os.replace(draft, path)
    except OSError as error:
        error.filename = str(path)
        raise
    finally:
        draft.unlink(missing_ok=True)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    """Let a rename reach the disk, where the system allows it."""
    try:
        descriptor = os.open(folder, os.O_RDONLY)
    except OSError:
        return
    with contextlib.suppress(OSError):
        os.fsync(descriptor)
    os.close(descriptor)


class DurableLocalBackend(LocalBackend):
    """mmengine's access to local files, with writes that are whole or nothing."""

    def put(self, obj: bytes, filepath: str | Path) -> None:
        """Write bytes to a file, see :func:`write_durably`."""
        write_durably(filepath, bytes(obj))

    def put_text(self, obj: str, filepath: str | Path, encoding: str = "utf-8") -> None:
        """Write text to a file, see :func:`write_durably`."""
        write_durably(filepath, obj.encode(encoding))


# mmengine writes all its checkpoints through the backend of this name.
register_backend("local", DurableLocalBackend, force=True, prefixes="")
