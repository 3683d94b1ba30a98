"""Train one config."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config
from mmengine.logging import print_log

from ssod_mm.cli.data_files import check_class_counts, check_start, named_weights
from ssod_mm.cli.resolve import resolve_config
from ssod_mm.cli.run_folders import numbered_checkpoints
from ssod_mm.reporting.records import RECORD_FILE, RunRecord, read_record
from ssod_mm.sweep.targets import load_target


@dataclass(frozen=True)
class TrainedRun:
    """What a training left.

    Attributes:
        work_dir: its output folder, with the complete config in it.
        checkpoint: the newest one; None where none was saved.
        record: what was trained and measured; None without a ``RunRecordHook``.
    """

    work_dir: Path
    checkpoint: Path | None
    record: RunRecord | None

    @property
    def metrics(self) -> dict[str, float]:
        """Results of the last validation by name, such as ``teacher/coco/bbox_mAP``.

        They lie in [0, 1].
        """
        measured = self.record.metrics if self.record else {}
        return {name: series[-1][1] for name, series in measured.items() if series}


def training_config(
    config: str | Path,
    *,
    fold: int | None = None,
    percent: float | None = None,
    seed: int | None = None,
    work_dir: str | Path | None = None,
    amp: str | bool | None = None,
    resume: str | bool | None = None,
    auto_scale_lr: bool | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    check_files: tuple[str, ...] = ("train", "val"),
) -> Config:
    """The complete config of a training, checked as far as that needs no model.

    Args:
        config: see :func:`train`, as the others.
        fold: number of the label split.
        percent: labelled images in percent.
        seed: seed of data order and training.
        work_dir: output folder.
        amp: mixed precision.
        resume: what to go on from.
        auto_scale_lr: whether the learning rate follows the batch.
        cfg_options: dotted keys and their new values.
        check_files: whose files must exist: any of "train", "val", "test".

    Raises:
        FileNotFoundError: a config, data file or checkpoint is missing.
        UserError: an option that nothing reads, or a value that does not fit.
    """
    return resolve_config(
        load_target(config, percent),
        fold=fold,
        percent=percent,
        seed=seed,
        work_dir=None if work_dir is None else str(work_dir),
        amp=amp,
        resume=resume if isinstance(resume, bool) or resume is None else str(resume),
        auto_scale_lr=auto_scale_lr,
        cfg_options=cfg_options,
        check_files=check_files,
    )


def train(
    config: str | Path,
    *,
    fold: int | None = None,
    percent: float | None = None,
    seed: int | None = None,
    work_dir: str | Path | None = None,
    amp: str | bool | None = None,
    resume: str | bool | None = None,
    auto_scale_lr: bool | None = None,
    cfg_options: Mapping[str, Any] | None = None,
    launcher: str = "none",
    trust_checkpoint: bool = False,
) -> TrainedRun:
    """Train a config in this process.

    Args:
        config: a path, a path below ``configs/``, or ``SWEEP:ROW`` for a row of a
            sweep.
        fold: number of the label split, from 1; None for the config's, as of the
            others.
        percent: labelled images in percent.
        seed: seed of data order and training.
        work_dir: output folder; by default
            ``work_dirs/<config>/fold<k>-p<percent>-seed<s>``.
        amp: mixed precision: ``"bf16"``, ``"fp16"``, or True for fp16 on CUDA and bf16
            on the CPU.
        resume: True to go on from the newest checkpoint of the output folder, or the
            path of one.
        auto_scale_lr: whether the learning rate follows the batch.
        cfg_options: dotted keys and their new values, such as
            ``{"max_iters": 100, "model.semi_train_cfg.score_thr": 0.8}``.
        launcher: how several processes were started: "none", "pytorch", "slurm" or
            "mpi".
        trust_checkpoint: read checkpoints that hold more than weights, which can run
            any program: only for files of your own.

    Returns:
        Output folder, newest checkpoint and record of the run.

    Raises:
        FileNotFoundError: a config, data file or checkpoint is missing.
        UserError: an option, a value or a file does not fit; the message says the way
            out.
    """
    cfg = training_config(
        config,
        fold=fold,
        percent=percent,
        seed=seed,
        work_dir=work_dir,
        amp=amp,
        resume=resume,
        auto_scale_lr=auto_scale_lr,
        cfg_options=cfg_options,
    )
    cfg.launcher = launcher
    check_start(cfg)
    # Only now, so that a mistake in the command is reported at once.
    from ssod_mm.checkpoint_files import fetch_named, trust_checkpoints
    from ssod_mm.engine.runtime import build_runner

    trust_checkpoints(trust_checkpoint)
    if launcher == "none":  # else the first process fetches while the others wait
        for _, weights in named_weights(cfg.get("model") or {}, "model"):
            fetch_named(weights)
    runner = build_runner(cfg)
    print_log(f"Output folder: {runner.work_dir}", logger="current")
    runner.train()
    folder = Path(runner.work_dir)
    has_record = runner.rank == 0 and (folder / RECORD_FILE).is_file()
    return TrainedRun(
        folder,
        next(iter(numbered_checkpoints(folder)), None),
        read_record(folder) if has_record else None,
    )


def check(
    config: str | Path,
    *,
    only_files: bool = False,
    before_first_phase: bool = False,
    trust_checkpoint: bool = False,
    **options: Any,
) -> str:
    """Check all that a training would refuse before its first iteration.

    First what can be seen without torch, then model, data sets, weights and a batch.

    Args:
        config: see :func:`train`.
        only_files: look at options, config and files alone, without torch.
        before_first_phase: the checkpoint that it continues from is not trained yet.
        trust_checkpoint: see :func:`train`.
        **options: options of :func:`training_config`.

    Returns:
        What is in order.

    Raises:
        FileNotFoundError: a file is missing.
        UserError: what the training would refuse, and the way out.
    """
    cfg = training_config(config, **options)
    check_class_counts(cfg)
    if not before_first_phase:
        check_start(cfg)
    if only_files:
        return "options, config and data files are in order"
    from ssod_mm.checkpoint_files import trust_checkpoints
    from ssod_mm.engine.check_run import check_run

    trust_checkpoints(trust_checkpoint)
    return f"all is in order: {check_run(cfg, before_first_phase)}"
