"""Work on a CUDA stream of its own, beside the default one."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import torch


class SideStream:
    """A stream whose work starts from one point of the default stream and rejoins it.

    The default stream waits at the end of each :meth:`beside`, and the next one waits
    for all that was started before :meth:`mark`. So memory that one of them frees is
    used again only after the other is done with it.

    Args:
        device: a CUDA device.
    """

    def __init__(self, device: torch.device) -> None:
        self.stream = torch.cuda.Stream(device)
        self.start = torch.cuda.Event()

    def mark(self) -> None:
        """Let the work beside start after what has been started up to here."""
        self.start.record()

    @contextmanager
    def beside(self) -> Iterator[None]:
        """Start work on the side; afterwards the default stream waits for it."""
        self.stream.wait_event(self.start)
        with torch.cuda.stream(self.stream):
            yield
        torch.cuda.current_stream().wait_stream(self.stream)
