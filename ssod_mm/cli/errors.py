"""A mistake of the user is one line on the terminal, not a traceback."""

from __future__ import annotations

import errno
import linecache
import os
import re
import sys
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

EXIT_CODE = 2
# What a user can do about a disk, by the number of the system's error.
DISK_ERRORS = {
    errno.ENOSPC: "the disk is full: free space there",
    errno.EDQUOT: "the disk quota is used up: free space there",
    errno.EROFS: "it cannot be written to: name another folder",
    errno.EACCES: "you have no right to it: change that, or name another folder",
    errno.EPERM: "you have no right to it: change that, or name another folder",
}
# A path of the user's is something else than it should be.
WRONG_PATHS = (
    FileNotFoundError,
    NotADirectoryError,
    IsADirectoryError,
    FileExistsError,
)
_UNKNOWN_KEY = re.compile(r"got an unexpected keyword argument")
_PROJECT = Path(__file__).resolve().parents[1]
_FROM_WORKER = re.compile(r"Caught \w+ in .*worker process", re.DOTALL)


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn mistakes that a user can put right into one line and exit code 2.

    Those are missing files, type names that no registry knows, and whatever this
    project raises itself. Other errors pass. With ``SSOD_MM_TRACEBACK=1`` in the
    environment all of them do.
    """
    try:
        yield
    except Exception as error:
        message = explain(error)
        if message is None or os.environ.get("SSOD_MM_TRACEBACK"):
            raise
        rank = os.environ.get("RANK", "0")
        who = f"[rank {rank}] " if rank != "0" else ""
        sys.stdout.flush()
        sys.stderr.write(f"{who}error: {message}\n")
        sys.exit(EXIT_CODE)


def explain(error: Exception) -> str | None:
    """One line about a user's mistake, or None when the error is none."""
    text = str(error.args[0]) if isinstance(error, KeyError) else str(error)
    if _FROM_WORKER.match(text):
        # A data loader's worker sends its traceback as text.
        raised = re.findall(r'File "(.+)", line \d+.*\n\s+(.+)\n', text)
        if raised and _raised_here(*raised[-1]):
            return _one_line(text[text.rindex("\n", 0, len(text.rstrip())) :])
        return None
    frames = traceback.extract_tb(error.__traceback__)
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        return _one_line(
            f"{error.filename or 'a file'}: {DISK_ERRORS[error.errno]}, and give the "
            "same command again, a training with --resume"
        )
    if isinstance(error, WRONG_PATHS):
        return _one_line(text)
    if isinstance(error, TypeError) and _UNKNOWN_KEY.search(text):
        return _one_line(f"the config has a key that nothing takes: {text}")
    if isinstance(error, KeyError):
        return _one_line(text) if " is not in the " in text else None
    if frames:
        last = frames[-1]
        line = linecache.getline(last.filename, last.lineno or 0)
        if _raised_here(last.filename, line):
            return _one_line(text)
    return None


def _raised_here(filename: str, line: str) -> bool:
    """Whether a line of this project raised, rather than something it called."""
    path = Path(filename).resolve()
    tools = Path(sys.argv[0]).resolve().parent
    inside = _PROJECT in path.parents or path.parent == tools
    return inside and line.strip().startswith("raise ")


def _one_line(text: str) -> str:
    return " ".join(text.split())
