"""Reads what a run logged: the json lines of mmengine's local backend."""

from __future__ import annotations

import json
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path

Series = list[tuple[int, float]]


@dataclass(frozen=True)
class RunScalars:
    """Every logged value of a run over its iterations.

    Attributes:
        series: name to (iteration, value) pairs in the order of iterations; names of
            training values are as logged, such as ``loss``, those of validation hold
            a slash, such as ``teacher/coco/bbox_mAP``.
    """

    series: dict[str, Series] = field(default_factory=dict)

    def last(self, name: str) -> float | None:
        """The last value of a series, or None where there is none."""
        values = self.series.get(name)
        return values[-1][1] if values else None

    def get(self, name: str) -> Series:
        """A series, empty where there is none."""
        return self.series.get(name, [])


def find_scalar_files(work_dir: str | Path) -> list[Path]:
    """The scalar files of a work folder, oldest run first.

    A resumed run has one file for each time that it was started.

    Raises:
        FileNotFoundError: if there is none.
    """
    files = sorted(Path(work_dir).glob("*/vis_data/scalars.json"))
    if not files:
        raise FileNotFoundError(
            f"{work_dir} holds no */vis_data/scalars.json: nothing was trained there, "
            "or visualizer.vis_backends lacks LocalVisBackend."
        )
    return files


def read_scalars(work_dir: str | Path) -> RunScalars:
    """All scalars of a work folder; a resumed part replaces what it repeats.

    Args:
        work_dir: output folder of a run.

    Returns:
        The scalars. Lines that a killed run left unfinished are passed over.

    Raises:
        FileNotFoundError: see :func:`find_scalar_files`.
    """
    values: dict[str, dict[int, float]] = defaultdict(dict)
    for path in find_scalar_files(work_dir):
        for line in path.read_text().splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue
            step = row.pop("step", None)
            if step is None:
                continue
            row.pop("iter", None)
            for name, value in row.items():
                if isinstance(value, (int, float)):
                    values[name][int(step)] = float(value)
    return RunScalars(
        {name: sorted(by_step.items()) for name, by_step in values.items()}
    )
