"""What a run's output folder holds, found without torch."""

from __future__ import annotations

import re
from pathlib import Path

POINTER = "last_checkpoint"
_NUMBERED = re.compile(r"(?:iter|epoch)_(\d+)\.pth")


def numbered_checkpoints(work_dir: str | Path) -> list[Path]:
    """Checkpoints of a work folder that a run can go on from, the newest first.

    They are found by their names: a pointer file may be damaged or point elsewhere.
    """
    numbered = [
        (int(match[1]), path)
        for path in Path(work_dir).glob("*.pth")
        if (match := _NUMBERED.fullmatch(path.name))
    ]
    return [path for _, path in sorted(numbered, reverse=True)]
