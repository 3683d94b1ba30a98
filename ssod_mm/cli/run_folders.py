"""What a run's output folder holds, found without torch."""

from __future__ import annotations

import re
from pathlib import Path

from ssod_mm.errors import UserError

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


def run_files(run: str | Path) -> tuple[Path, Path]:
    """Config and checkpoint of a training.

    Args:
        run: its output folder, or one of the checkpoints in it. Of a folder the best
            checkpoint is taken, or the newest one where none is called best.

    Raises:
        FileNotFoundError: there is no such folder or file, or it lacks one of the two.
        UserError: it has several configs.
    """
    run = Path(run)
    if not run.exists():
        raise FileNotFoundError(f"there is no output folder or checkpoint {run}")
    folder = run if run.is_dir() else run.parent
    configs = sorted(folder.glob("*.py"))
    if not configs:
        raise FileNotFoundError(f"{folder} holds no config, as a training leaves one")
    if len(configs) > 1:
        names = ", ".join(path.name for path in configs)
        raise UserError(f"{folder} holds several configs: {names}")
    if not run.is_dir():
        return configs[0], run
    best = sorted(folder.glob("best_*.pth"), key=lambda path: path.stat().st_mtime)
    checkpoints = [*best[::-1], *numbered_checkpoints(folder)]
    if not checkpoints:
        raise FileNotFoundError(f"{folder} holds no checkpoint")
    return configs[0], checkpoints[0]
