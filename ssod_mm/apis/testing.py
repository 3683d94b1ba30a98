"""Evaluate checkpoints on the test set of a config."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

from ssod_mm.cli.resolve import resolve_config
from ssod_mm.errors import UserError
from ssod_mm.reporting.tables import METRICS, ResultRow, result_rows, terminal_table
from ssod_mm.sweep.targets import load_target

MODELS = ("teacher", "student")
TRAINING_KEYS = (
    *("train_dataloader", "train_cfg", "optim_wrapper", "param_scheduler"),
    *("val_dataloader", "val_cfg", "val_evaluator"),
)


def evaluation_config(
    config: str | Path,
    checkpoints: Sequence[str | Path],
    which: str | None = None,
    *,
    fold: int | None = None,
    percent: float | None = None,
    seed: int | None = None,
    work_dir: str | Path | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> Config:
    """The complete config of a test, checked as far as that needs no model.

    Args:
        config: see :func:`test`, as the others.
        checkpoints: one, or those of an ensemble.
        which: whose predictions count.
        fold: number of the label split.
        percent: labelled images in percent.
        seed: seed of the run.
        work_dir: output folder.
        cfg_options: dotted keys and their new values.

    Raises:
        FileNotFoundError: a config, data file or checkpoint is missing.
        UserError: something does not fit, or there is no test set.
    """
    for checkpoint in map(str, checkpoints):
        if "://" not in checkpoint and not Path(checkpoint).is_file():
            raise FileNotFoundError(f"there is no checkpoint {checkpoint}")
    cfg = resolve_config(
        load_target(config, percent),
        fold=fold,
        percent=percent,
        seed=seed,
        work_dir=None if work_dir is None else str(work_dir),
        cfg_options=cfg_options,
        check_files=("test",),
    )
    if cfg.get("test_dataloader") is None:
        raise UserError(f"{config} has no test_dataloader")
    cfg.load_from, cfg.resume = None, False
    for key in TRAINING_KEYS:  # a test builds nothing of it
        cfg[key] = None
    if len(checkpoints) > 1:
        _set_ensemble(cfg, len(checkpoints), which)
    else:
        _set_models(cfg, which)
    return cfg


def _set_ensemble(cfg: Config, num_members: int, which: str | None) -> None:
    """Let the test loop evaluate the joint detections of several checkpoints.

    Raises:
        UserError: teacher and student of each at once.
    """
    if which == "both":
        raise UserError(
            "--which both: several checkpoints are tested as one ensemble; choose "
            "--which teacher or student"
        )
    detector = cfg.model.get("detector", cfg.model)
    cfg.model = ConfigDict(
        type="EnsembleDetector",
        detector=detector,
        num_members=num_members,
        data_preprocessor=detector.data_preprocessor,
    )
    cfg.test_cfg = ConfigDict(type="TestLoop")


def _set_models(cfg: Config, which: str | None) -> None:
    """Let the test loop evaluate teacher, student or both.

    Raises:
        UserError: both, of a plain detector.
    """
    if "detector" in cfg.model:  # a semi-supervised wrapper of a detector
        models = [which] if which in MODELS else list(MODELS)
        cfg.test_cfg = ConfigDict(type="BothModelsTestLoop", models=models)
    elif which == "both":
        raise UserError(
            "--which both: the config has a plain detector, which is one model; "
            "choose --which teacher or student"
        )


def test(
    config: str | Path,
    checkpoint: str | Path | Sequence[str | Path],
    *,
    which: str | None = None,
    out: str | Path | None = None,
    fold: int | None = None,
    percent: float | None = None,
    seed: int | None = None,
    work_dir: str | Path | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    launcher: str = "none",
    trust_checkpoint: bool = False,
) -> dict[str, float]:
    """Evaluate a checkpoint, or several together as an ensemble.

    Checkpoint and config may each hold a plain detector or teacher and student, in any
    combination.

    Args:
        config: a path, a path below ``configs/``, or ``SWEEP:ROW``.
        checkpoint: file of weights; several: their joint detections.
        which: "teacher", "student" or "both"; None for both, or for the teacher where
            the config has a plain detector.
        out: json file for the results.
        fold: number of the label split; None for the config's, as of the others.
        percent: labelled images in percent.
        seed: seed of the run.
        work_dir: folder for the log.
        cfg_options: dotted keys and their new values, such as ``{"data_root": "X"}``.
        launcher: how several processes were started.
        trust_checkpoint: read checkpoints that hold more than weights.

    Returns:
        The results by name, such as ``teacher/coco/bbox_mAP``, in [0, 1].

    Raises:
        FileNotFoundError: a config, data file or checkpoint is missing.
        UserError: checkpoint, config and data do not fit together.
    """
    single = isinstance(checkpoint, (str, Path))
    checkpoints = [checkpoint] if single else list(checkpoint)
    overrides = dict(fold=fold, percent=percent, seed=seed, work_dir=work_dir)
    cfg = evaluation_config(
        config, checkpoints, which, cfg_options=cfg_options, **overrides
    )
    cfg.launcher = launcher
    # Only now, so that a mistake in the command is reported at once.
    from mmengine.model import is_model_wrapper

    from ssod_mm.apis.inference import evaluated_model
    from ssod_mm.checkpoint_files import trust_checkpoints
    from ssod_mm.checkpoints import load_weights
    from ssod_mm.data.datasets import source_name
    from ssod_mm.engine.class_hook import number_labels
    from ssod_mm.engine.runtime import build_runner

    trust_checkpoints(trust_checkpoint)
    which = which or evaluated_model(load_target(config, percent))
    runner = build_runner(cfg)
    model = runner.model
    model = model.module if is_model_wrapper(model) else model
    members = getattr(model, "members", [model])
    dataset = runner.test_loop.dataloader.dataset
    print_log(
        f"testing {' and '.join(map(str, checkpoints))} on {source_name(dataset)}, "
        f"{len(dataset)} images",
        logger="current",
    )
    for member, path in zip(members, checkpoints, strict=True):
        classes = load_weights(member, path, which)
        if classes is not None:
            number_labels(runner, classes, path)
    results = runner.test()
    if out and runner.rank == 0:
        Path(out).parent.mkdir(parents=True, exist_ok=True)
        Path(out).write_text(json.dumps(results, indent=2) + "\n")
    return results


def results_table(results: Mapping[str, float], title: str) -> str:
    """AP, AP50 and AP75 of each model, in percent, for the terminal.

    Args:
        results: as :func:`test` returns them.
        title: of the table.

    Returns:
        A line for each model and rule of evaluation; "" where no AP was measured.
    """
    names = {metric: name for name, metric in METRICS.items()}
    rows: dict[str, dict[str, float | None]] = {}
    for key, value in results.items():
        *source, metric = key.split("/")
        if metric in names:
            row = rows.setdefault(", ".join(source), {})
            row[names[metric]] = 100 * value
    cells = result_rows([ResultRow(name, values) for name, values in rows.items()])
    return terminal_table(cells, title) if rows else ""
