"""Records of a sweep that nobody trained; as a program: synthetic.py OUT writes 300."""

from __future__ import annotations

import hashlib
import random
from pathlib import Path

from ssod_mm.reporting.records import RunRecord
from ssod_mm.sweep.plan import Plan, Run, Stage
from ssod_mm.sweep.spec import Row, Sweep
from ssod_mm.sweep.state import StageFolder

KEYS = ("supervised", "mean_teacher", "certainty", "lerprc", "dtg")
NUM_CLASSES = 80


def synthetic_plan(rows=KEYS, ratios=(1, 2, 5, 10), folds=5, seeds=3) -> Plan:
    own = tuple(Row(key, key.replace("_", " "), f"{key}.py") for key in rows)
    folds, seeds = tuple(range(1, folds + 1)), tuple(range(seeds))
    sweep = Sweep(
        "synthetic",
        "Synthetic <sweep>",
        own,
        tuple(ratios),
        folds,
        seeds,
        rows[0],
        "coco/bbox_mAP",
        None,
        Path("synthetic.py"),
    )
    stages, runs = {}, []
    for row in own:
        for percent in ratios:
            for fold in folds:
                for seed in seeds:
                    name = f"{row.key}-p{percent}-fold{fold}-seed{seed}"
                    key = hashlib.sha256(name.encode()).hexdigest()
                    stages[key] = Stage(
                        key, name, row.config, {}, fold, percent, seed, None, 9000
                    )
                    runs.append(Run(row, percent, fold, seed, (key,)))
    return Plan(sweep, stages, tuple(runs))


def write_synthetic(plan: Plan, out: Path, num_points: int = 200) -> None:
    """A finished record for every run: a row's number raises its AP by one point."""
    keys = [row.key for row in plan.sweep.rows]
    for run in plan.runs:
        stage = plan.stages[run.stages[-1]]
        dice = random.Random(stage.id)
        level = 0.2 + 0.01 * keys.index(run.row.key) + 0.01 * (run.percent or 0)
        level += 0.002 * run.fold
        steps = [stage.max_iters * k // 20 for k in range(1, 21)]
        fine = [stage.max_iters * k // num_points for k in range(1, num_points + 1)]
        ap = [(step, level * k / 20) for k, step in enumerate(steps, 1)]
        model = "" if run.row.key == "supervised" else "teacher"
        start = f"{model}/" if model else ""
        quality = ("loss", "pseudo_precision", "pseudo_recall", "pseudo_iou")
        record = RunRecord(
            name=run.row.key,
            config_sha256=stage.id,
            fold=run.fold,
            percent=run.percent,
            seed=run.seed,
            git={"revision": "0123456789abcdef", "changed": False},
            splits={"instances_train.json": stage.id},
            versions={"torch": "2", "ssod_mm": "0"},
            device="none",
            state="finished",
            iterations=stage.max_iters,
            max_iters=stage.max_iters,
            wall_time_s=3600.0,
            peak_memory_mb=5000.0,
            metrics={
                f"{start}coco/bbox_mAP": ap,
                f"{start}coco/bbox_mAP_50": [(s, 1.5 * v) for s, v in ap],
            },
            training={
                key: [(step, dice.random()) for step in fine]
                for key in quality[: 1 if not model else 4]
            },
            per_class={
                model: {f"class {n}": dice.random() for n in range(NUM_CLASSES)}
            },
            per_iou={model: [level * (1.5 - 0.1 * k) for k in range(10)]},
            iou_thresholds=[round(0.5 + 0.05 * k, 2) for k in range(10)],
            class_counts={f"class {n}": 3 * n + 1 for n in range(NUM_CLASSES)},
        )
        folder = StageFolder(stage, out)
        folder.prepare()
        record.write(folder.path / "record.json")
