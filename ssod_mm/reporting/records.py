"""The record of a run: one small JSON with all that a table or a report needs.

The file is ``record.json`` in the work folder. ``docs/sweeps.md`` describes every key.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from pathlib import Path
from typing import Any

from ssod_mm.errors import UserError
from ssod_mm.reporting.scalars import Series

SCHEMA_VERSION = 1
RECORD_FILE = "record.json"
MODELS = ("teacher", "student", "")
"""Whose results a run may hold, the one that counts first; "" is a plain detector."""


@dataclass
class RunRecord:
    """What a run was and what came out of it.

    Attributes:
        name: name of its config, without folder and ending.
        config_sha256: hash of the resolved config, see ``ssod_mm/cli/fingerprint.py``.
        command: program and arguments of the last start.
        fold: number of the label split; None where the config has none.
        percent: labelled images in percent; None where the config has none.
        seed: seed of the run.
        git: ``revision`` and ``changed`` (whether files differed from it); empty
            outside a checkout.
        splits: sha256 of every annotation file of the training, by file name.
        versions: versions of Python and the packages that matter.
        device: name of the GPU or the CPU.
        num_processes: number of processes that trained together.
        state: "running" or "finished".
        iterations: number of iterations done so far.
        max_iters: number of iterations of the whole training.
        wall_time_s: seconds in the training loop, over all starts.
        peak_memory_mb: largest memory of a process, of the GPU where there is one.
        metrics: validation results over the iterations, in [0, 1], keyed as logged.
        training: losses and pseudo-label figures over the iterations.
        per_class: AP of each class at the last validation, by model.
        per_iou: AP at each threshold of ``iou_thresholds``, by model.
        iou_thresholds: IoU thresholds of ``per_iou``.
        class_counts: labelled boxes of each class in the training.
        schema: version of this layout.
    """

    name: str
    config_sha256: str = ""
    command: list[str] = field(default_factory=list)
    fold: int | None = None
    percent: float | None = None
    seed: int | None = None
    git: dict[str, Any] = field(default_factory=dict)
    splits: dict[str, str] = field(default_factory=dict)
    versions: dict[str, str] = field(default_factory=dict)
    device: str = ""
    num_processes: int = 1
    state: str = "running"
    iterations: int = 0
    max_iters: int = 0
    wall_time_s: float = 0.0
    peak_memory_mb: float = 0.0
    metrics: dict[str, Series] = field(default_factory=dict)
    training: dict[str, Series] = field(default_factory=dict)
    per_class: dict[str, dict[str, float]] = field(default_factory=dict)
    per_iou: dict[str, list[float]] = field(default_factory=dict)
    iou_thresholds: list[float] = field(default_factory=list)
    class_counts: dict[str, int] = field(default_factory=dict)
    schema: int = SCHEMA_VERSION

    @property
    def is_finished(self) -> bool:
        """Whether the training ran to its end."""
        return self.state == "finished"

    @property
    def models(self) -> list[str]:
        """The models that were validated, the one that counts first."""
        starts = {key.split("/")[0] for key in self.metrics}
        validated = [name for name in MODELS[:2] if name in starts]
        return validated or ([""] if self.metrics else [])

    def series(self, metric: str, model: str | None = None) -> Series:
        """A validation result over the iterations; empty where there is none.

        Args:
            metric: key without the model, such as ``coco/bbox_mAP``.
            model: "teacher", "student" or "" ; None for the one that counts.
        """
        if model is None:
            model = self.models[0] if self.metrics else ""
        return self.metrics.get(f"{model}/{metric}" if model else metric, [])

    def final(self, metric: str, model: str | None = None) -> float | None:
        """The last value of :meth:`series`, or None."""
        series = self.series(metric, model)
        return series[-1][1] if series else None

    def forget_after(self, iteration: int) -> None:
        """Drop what was measured after an iteration, for a run that repeats it."""
        for group in (self.metrics, self.training):
            for key, series in group.items():
                group[key] = [point for point in series if point[0] <= iteration]

    def to_json(self) -> str:
        """The text of the file; numbers that are not finite become null."""
        return json.dumps(_finite(asdict(self)), indent=1, allow_nan=False) + "\n"

    def write(self, path: str | Path) -> None:
        """Replace a file in one step, so that a reader never sees half of it."""
        write_atomically(path, self.to_json())


def write_atomically(path: str | Path, text: str) -> None:
    """Write a file so that it is there whole or not at all."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    with draft.open("w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    os.replace(draft, path)


def read_record(path: str | Path) -> RunRecord:
    """Read a record.

    Args:
        path: the file, or the work folder that holds it.

    Raises:
        FileNotFoundError: there is none.
        ValueError: not a record, or one of a newer version.
    """
    path = Path(path)
    path = path / RECORD_FILE if path.is_dir() else path
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        return parse_record(content, str(path))
    except (ValueError, TypeError, AttributeError, RecursionError) as error:
        if str(error).startswith(str(path)):
            raise
        raise UserError(f"{path} is no run record: {error}") from error


def parse_record(content: Any, source: str) -> RunRecord:
    """A record from the parsed JSON.

    Args:
        content: what the file holds; keys that this version does not know are left out.
        source: its name, for messages.

    Raises:
        ValueError: not a record, or one of a newer version.
    """
    if not isinstance(content, Mapping) or not {"schema", "name"} <= set(content):
        raise UserError(f"{source} is no run record: it lacks schema or name")
    if content["schema"] > SCHEMA_VERSION:
        raise UserError(
            f"{source} has version {content['schema']} of the run record, this "
            f"ssod_mm reads up to {SCHEMA_VERSION}: update it"
        )
    known = {entry.name for entry in fields(RunRecord)}
    record = RunRecord(**{key: content[key] for key in known & set(content)})
    for group in (record.metrics, record.training):
        for key, series in group.items():
            group[key] = [(int(step), _number(value)) for step, value in series]
    return record


def _number(value: float | None) -> float:
    return math.nan if value is None else float(value)


def _finite(node: Any) -> Any:
    """``node`` with null for numbers that JSON does not know."""
    if isinstance(node, float):
        return node if math.isfinite(node) else None
    if isinstance(node, dict):
        return {key: _finite(value) for key, value in node.items()}
    if isinstance(node, (list, tuple)):
        return [_finite(value) for value in node]
    return node
