"""What the runs of a sweep measured, and the published numbers beside it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ssod_mm.reporting.records import RunRecord
from ssod_mm.reporting.scalars import Series
from ssod_mm.reporting.sweep_tables import Measurement, SweepTable, sweep_table
from ssod_mm.sweep.plan import Plan, Run
from ssod_mm.sweep.state import StageFolder

_NAMES = {
    "coco/bbox_mAP": ("AP", "box AP"),
    "coco/bbox_mAP_50": ("AP50", "box AP50"),
    "coco/bbox_mAP_75": ("AP75", "box AP75"),
}
"""Metric -> what a table calls it, and what the metafiles call it."""


@dataclass(frozen=True)
class RunResult:
    """One run with what it measured so far.

    Attributes:
        run: from the plan.
        records: records of its stages; None where nothing was measured yet.
    """

    run: Run
    records: tuple[RunRecord | None, ...]

    @property
    def record(self) -> RunRecord | None:
        """The record of the last stage, or None before it begins."""
        return self.records[-1]

    @property
    def is_finished(self) -> bool:
        """Whether the run is finished, so that its number counts."""
        return self.record is not None and self.record.is_finished

    def value(self, metric: str) -> float | None:
        """The final result in percent; None unless finished."""
        if not self.is_finished:
            return None
        value = self.record.final(metric, self.model)
        return None if value is None else 100 * value

    def at(self, metric: str, share: float) -> float | None:
        """The first result after a share of the last stage's iterations, in percent."""
        if self.record is None:
            return None
        series = self.record.series(metric, self.model)
        step = share * self.record.max_iters
        return next((100 * value for at, value in series if at >= step), None)

    @property
    def model(self) -> str | None:
        """The model whose results count."""
        models = self.record.models if self.record else []
        wanted = self.run.row.model
        return wanted if wanted in models else (models[0] if models else None)

    def curve(self, metric: str) -> Series:
        """The result over the iterations of all phases, in percent.

        Of several teachers the first one, from which the student starts, counts.
        """
        first, last = self.first_record, self.record
        points = self._joined(
            first.series(metric) if first else [],
            last.series(metric, self.model) if last else [],
        )
        return [(step, 100 * value) for step, value in points]

    def training_curve(self, key: str) -> Series:
        """A logged figure, such as ``loss``, over the iterations of all phases."""
        first, last = self.first_record, self.record
        return self._joined(
            first.training.get(key, []) if first else [],
            last.training.get(key, []) if last else [],
        )

    @property
    def first_record(self) -> RunRecord | None:
        """The record of the first phase; None without one, or before it begins."""
        return self.records[0] if len(self.records) > 1 else None

    def _joined(self, first: Series, last: Series) -> Series:
        offset = self.first_record.max_iters if self.first_record else 0
        return [*first, *((step + offset, value) for step, value in last)]


def metric_name(metric: str) -> str:
    """What a table calls a validation result."""
    return _NAMES.get(metric, (metric, ""))[0]


def collect(plan: Plan, out: Path) -> list[RunResult]:
    """Read the records of a sweep; each file once.

    Args:
        plan: the sweep's trainings.
        out: output folder of the sweep.
    """
    records = {
        stage_id: StageFolder(stage, out).record()
        for stage_id, stage in plan.stages.items()
    }
    return [
        RunResult(run, tuple(records[stage_id] for stage_id in run.stages))
        for run in plan.runs
    ]


def result_table(plan: Plan, results: Sequence[RunResult]) -> SweepTable:
    """The sweep's table; only finished runs count."""
    sweep = plan.sweep
    reported = _NAMES.get(sweep.metric, ("", ""))[1]
    values = [(result.run, result.value(sweep.metric)) for result in results]
    published, tables = {}, {}
    for run in plan.runs:
        if reported == "box AP" and run.percent in run.row.published:
            published[run.row.key, run.percent] = run.row.published[run.percent]
            tables[run.row.key, run.percent] = run.row.table
    return sweep_table(
        sweep.title,
        {row.key: row.label for row in sweep.rows},
        sweep.ratios,
        [
            Measurement(run.row.key, run.percent, run.fold, value)
            for run, value in values
            if value is not None
        ],
        baseline=sweep.baseline,
        published=published,
        published_in=tables,
        num_planned=Counter((run.row.key, run.percent) for run in plan.runs),
        metric=metric_name(sweep.metric),
    )
