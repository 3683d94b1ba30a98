"""From a sweep to its trainings, each known by a hash of what it depends on."""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import cache
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ssod_mm.cli.fingerprint import config_sha256, text_sha256
from ssod_mm.cli.lookup import load_config
from ssod_mm.cli.parameters import DOCUMENTED_VARIABLES
from ssod_mm.cli.phases import (
    check_networks,
    first_phase,
    start_options,
    train_command,
)
from ssod_mm.cli.resolve import merge_options, resolve_config
from ssod_mm.sweep.spec import Row, Sweep

_START = "checkpoint-of-the-first-phase.pth"


@dataclass(frozen=True)
class Stage:
    """One training. Runs that need the same one share it.

    Attributes:
        id: hash of everything that its numbers depend on.
        name: what the reader sees; equal names with other ids are a changed config.
        config: path below ``configs/``.
        options: overrides, without the checkpoints to start from.
        fold: number of the label split.
        percent: labelled images in percent; None as the config has it.
        seed: seed of the training.
        amp: precision, or None.
        max_iters: number of iterations.
        teachers: ids of the stages that it starts from or is taught by, its start
            first.
        start_key: config key that takes the checkpoint of the start.
        environment: documented environment variables that were set, which may give
            parameters of the config.
    """

    id: str
    name: str
    config: str
    options: dict[str, Any]
    fold: int
    percent: float | None
    seed: int
    amp: str | None
    max_iters: int
    teachers: tuple[str, ...] = ()
    start_key: str = "load_from"
    environment: dict[str, str] = field(default_factory=dict)

    @property
    def folder(self) -> str:
        """Name of its output folder."""
        return f"{self.name}-{self.id[:8]}"

    @property
    def checkpoint(self) -> str:
        """Name of the file that it ends with."""
        return f"iter_{self.max_iters}.pth"


@dataclass(frozen=True)
class Run:
    """A run whose result enters the table: a row on one split with one seed.

    Attributes:
        row: what is trained.
        percent: labelled images in percent.
        fold: number of the label split.
        seed: seed of the training.
        stages: ids in the order of the phases; the results of the last count.
    """

    row: Row
    percent: float | None
    fold: int
    seed: int
    stages: tuple[str, ...]

    @property
    def name(self) -> str:
        """Short name, unique in the sweep."""
        return _named(self.row.key, self.percent, self.fold, self.seed)


@dataclass(frozen=True)
class Plan:
    """All trainings of a sweep.

    Attributes:
        sweep: where they come from.
        stages: by id; those that others need come first.
        runs: in the order of the sweep's rows.
    """

    sweep: Sweep
    stages: dict[str, Stage]
    runs: tuple[Run, ...]

    def command(self, stage: Stage, out: Path) -> list[str]:
        """Arguments of ``tools/train.py``.

        Args:
            stage: a stage of the plan.
            out: output folder of the sweep.
        """
        options = dict(stage.options)
        starts = [
            str(
                out
                / self.stages[teacher_id].folder
                / self.stages[teacher_id].checkpoint
            )
            for teacher_id in stage.teachers
        ]
        if starts:
            options |= start_options(stage.start_key, starts)
        split = dict(fold=stage.fold, percent=stage.percent, seed=stage.seed)
        folder = out / stage.folder
        return train_command(stage.config, split, folder, stage.amp, options)


def plan_sweep(sweep: Sweep, check_files: bool = False) -> Plan:
    """Plan the trainings of a sweep.

    Args:
        sweep: what to train.
        check_files: whether the data files must exist.

    Raises:
        FileNotFoundError: a config or data file is missing.
        ValueError: a config, an option or a pair of phases does not fit.
    """
    planner = _Planner(sweep, ("train", "val") if check_files else ())
    runs = [
        planner.run(row, percent, fold, seed)
        for row in sweep.rows
        for percent in row.ratios
        for fold in sweep.folds
        for seed in sweep.seeds
    ]
    return Plan(sweep, planner.stages, tuple(runs))


class _Planner:
    """Gathers the stages of a sweep; equal stages are one."""

    def __init__(self, sweep: Sweep, check_files: tuple[str, ...]) -> None:
        self.sweep = sweep
        self.check_files = check_files
        self.stages: dict[str, Stage] = {}

    def run(self, row: Row, percent: float | None, fold: int, seed: int) -> Run:
        config = row.config
        student = _with_options(config, _frozen(row.options))
        first = first_phase(
            student, seed, row.options, row.teacher_options, row.teacher
        )
        name = _named(row.key, percent, fold, seed)
        if first is None:
            stage = self.stage(name, config, row.options, percent, fold, seed)
            return Run(row, percent, fold, seed, (stage.id,))
        teacher = first.config
        seeds = list(first.seeds)
        seeds.insert(0, seeds.pop(first.start))
        teachers = [
            self.stage(
                _named(f"phase1+{Path(teacher).stem}", percent, fold, teacher_seed),
                teacher,
                first.options,
                percent,
                fold,
                teacher_seed,
            )
            for teacher_seed in seeds
        ]
        split = dict(percent=percent, check_files=())
        model = resolve_config(student, **split).model
        network = resolve_config(
            load_config(teacher), cfg_options=first.options, **split
        ).model
        check_networks(model.get("detector", model), network, teacher)
        stage = self.stage(
            name, config, row.options, percent, fold, seed, teachers, first.start_key
        )
        ids = (*(teacher.id for teacher in teachers), stage.id)
        return Run(row, percent, fold, seed, ids)

    def stage(
        self,
        name: str,
        config: str,
        options: Mapping[str, Any],
        percent: float | None,
        fold: int,
        seed: int,
        teachers: Sequence[Stage] = (),
        start_key: str = "load_from",
    ) -> Stage:
        complete = {**options, **({start_key: _START} if teachers else {})}
        cfg = resolve_config(
            load_config(config),
            fold=fold,
            percent=percent,
            seed=seed,
            amp=self.sweep.amp,
            cfg_options=complete,
            check_files=self.check_files,
        )
        ids = tuple(teacher.id for teacher in teachers)
        identity = text_sha256(json.dumps([config_sha256(cfg), ids]))
        if identity not in self.stages:
            self.stages[identity] = Stage(
                id=identity,
                name=name,
                config=config,
                options=dict(options),
                fold=fold,
                percent=percent,
                seed=seed,
                amp=self.sweep.amp,
                max_iters=int(cfg.train_cfg.max_iters),
                teachers=ids,
                start_key=start_key,
                environment=user_environment(),
            )
        return self.stages[identity]


def user_environment() -> dict[str, str]:
    """The documented environment variables that are set."""
    return {
        name: os.environ[name] for name in DOCUMENTED_VARIABLES if os.environ.get(name)
    }


def _named(key: str, percent: float | None, fold: int, seed: int) -> str:
    ratio = "" if percent is None else f"-p{percent:g}"
    return f"{key}{ratio}-fold{fold}-seed{seed}"


def _frozen(options: Mapping[str, Any]) -> str:
    return json.dumps(options, sort_keys=True, default=str)


@cache
def _with_options(config: str, options: str) -> Config:
    """Read a config once for all folds; nobody changes what comes back."""
    cfg = load_config(config)
    merge_options(cfg, json.loads(options))
    return cfg
