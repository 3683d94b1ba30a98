"""What a user sees of a bad input: for the tables of bad inputs."""

from __future__ import annotations

import signal
from contextlib import contextmanager

from ssod_mm.cli.errors import explain


class Hangs(BaseException):
    """Nothing but the test catches it."""


@contextmanager
def time_limit(seconds):
    """Raise in place of hanging."""

    def stop(*_):
        raise Hangs

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def outcome(action, *arguments):
    """What a user sees: "accepted", "counted" or "refused: ...".

    Raises:
        Exception: what would be a traceback.
        Hangs: it takes too long.
    """
    try:
        with time_limit(20):
            words = action(*arguments)
    except Exception as error:
        line = explain(error)
        if line is None or len(line) < 16:
            raise
        return f"refused: {line}"
    return "counted" if words else "accepted"
