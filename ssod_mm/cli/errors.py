"""A mistake of the user is one line on the terminal, not a traceback."""

from __future__ import annotations

import errno
import os
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from ssod_mm.errors import UserError

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


@contextmanager
def one_line_errors() -> Iterator[None]:
    """Turn mistakes that a user can put right into one line and exit code 2.

    Those are ``UserError``, wrong paths, a disk that is full or closed, a GPU whose
    memory is full, and names in a config that nothing knows. Other errors pass. With
    ``SSOD_MM_TRACEBACK=1`` in the environment all of them do.
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
    """One line about a user's mistake, or None when the error is a bug."""
    text = _message(error)
    if isinstance(error, OSError) and error.errno in DISK_ERRORS:
        text = (
            f"{error.filename or 'a file'}: {DISK_ERRORS[error.errno]}, and give the "
            "same command again, a training with --resume"
        )
    elif _is_memory_full(error, text):
        text = (
            "the memory is full: lower train_dataloader.batch_size (and the learning "
            "rate with it), or the image scale, or end what else runs there "
            f"({text.split('. ')[0]})"
        )
    elif isinstance(error, TypeError) and _UNKNOWN_KEY.search(text):
        text = f"the config has a key that nothing takes: {text}"
    elif not (
        isinstance(error, (UserError, *WRONG_PATHS))
        or (isinstance(error, KeyError) and " is not in the " in text)  # a registry
    ):
        return None
    return " ".join(text.split())


def _is_memory_full(error: Exception, text: str) -> bool:
    """Whether torch, which is not imported here, found no memory."""
    return type(error).__name__ == "OutOfMemoryError" or "can't allocate memory" in text


def _message(error: Exception) -> str:
    """What an error says.

    A data loader's worker sends the whole traceback as the message of an error of the
    same type; what it says comes last.
    """
    text = str(error.args[0]) if isinstance(error, KeyError) else str(error)
    name = type(error).__name__
    if re.match(rf"Caught {name} in .*worker process", text):
        return re.split(rf"\n(?:\w+\.)*{name}: ", text)[-1]
    return text
