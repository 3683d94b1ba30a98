"""Two phases of training: teachers on labelled images, then a student from them.

The student's config names the config of its teacher in ``teacher_config``; may change
it by ``teacher_options`` (dotted keys) and ask for several in ``teacher_seeds``.
"""

from __future__ import annotations

import json
import re
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ssod_mm.cli.arguments import config_overrides
from ssod_mm.cli.lookup import changed_keys, load_config
from ssod_mm.cli.resolve import merge_options, resolve_config
from ssod_mm.cli.run_folders import numbered_checkpoints
from ssod_mm.errors import UserError

SHARED = (
    *("data_root", "coco_root", "num_classes", "pretrained", "sizes", "max_pixels"),
)
"""Options of a student that its teacher needs too."""
RECORD = "phase.json"
_NETWORKS = ("backbone", "neck", "rpn_head", "roi_head")
_NO_WEIGHTS = re.compile(
    r"loss|init_cfg|score_factor|quality_on|positive_only|reg_beta|_weight$|\.decode$"
)


@dataclass(frozen=True)
class Phase:
    """One training.

    Attributes:
        name: what the reader sees.
        arguments: command line of ``tools/train.py``.
        work_dir: output folder.
        max_iters: length of the training.
        record: what the training depends on, for the check before a checkpoint of an
            earlier run is taken.
        folder_option: the command line's option for ``work_dir``.
    """

    name: str
    arguments: list[str]
    work_dir: Path
    max_iters: int
    record: dict[str, Any] = field(default_factory=dict)
    folder_option: str = "--work-dir"

    @property
    def checkpoint(self) -> Path:
        """The file that the training ends with."""
        return self.work_dir / f"iter_{self.max_iters}.pth"

    @property
    def is_done(self) -> bool:
        """Whether it has ended."""
        return self.checkpoint.is_file()

    @property
    def is_begun(self) -> bool:
        """Whether a checkpoint exists to go on from."""
        return bool(numbered_checkpoints(self.work_dir))

    def check_record(self) -> None:
        """Refuse the output of a training that depended on something else.

        Raises:
            ValueError: names the folder and the first difference.
        """
        path = self.work_dir / RECORD
        if not path.is_file():
            return
        old, new = json.loads(path.read_text()), json.loads(self._record_text)
        for key in sorted({*old, *new}):
            before, now = old.get(key), new.get(key)
            if before != now:
                raise UserError(
                    f"{self.work_dir} holds a {self.name} with {key}={before}, not "
                    f"{now}: remove it, or choose another folder with "
                    f"{self.folder_option}"
                )

    def write_record(self) -> None:
        """Note in the output folder what the training depends on."""
        self.work_dir.mkdir(parents=True, exist_ok=True)
        (self.work_dir / RECORD).write_text(self._record_text + "\n")

    @property
    def _record_text(self) -> str:
        """The record as its file has it."""
        return json.dumps(self.record, indent=2, default=str)


@dataclass(frozen=True)
class FirstPhase:
    """What a student's first phase trains, and how the student takes it up.

    Attributes:
        config: of the teachers.
        data_options: overrides of the student that its teacher needs too.
        changes: dotted overrides of the teacher alone.
        seeds: of the teachers, one each.
        start: number of the teacher whose weights the student starts from.
        start_key: config key of the student that takes these weights.
    """

    config: str
    data_options: dict[str, Any]
    changes: dict[str, Any]
    seeds: tuple[int, ...]
    start: int
    start_key: str

    @property
    def options(self) -> dict[str, Any]:
        """All overrides of the teacher's config."""
        return {**self.data_options, **self.changes}


def first_phase(
    student: Config,
    seed: int | None,
    options: Mapping[str, Any],
    teacher_options: Mapping[str, Any],
    config: str | None = None,
) -> FirstPhase | None:
    """The first phase that a student's config asks for; None where it asks for none.

    Args:
        student: its config, as read.
        seed: of the student; its teacher has the same where the config names no
            ``teacher_seeds``.
        options: overrides of the student; those of the data go to the teacher too.
        teacher_options: overrides of the teacher, beside the config's own.
        config: of the teachers, in place of the one that the student's config names.
    """
    config = config or student.get("teacher_config")
    if not config:
        return None
    seeds = tuple(student.get("teacher_seeds") or [seed or 0])
    return FirstPhase(
        config,
        {key: options[key] for key in SHARED if key in options},
        {**(student.get("teacher_options") or {}), **teacher_options},
        seeds,
        seeds.index(seed) if seed in seeds else 0,
        "continue_from" if "continue_from" in student else "load_from",
    )


def start_options(key: str, checkpoints: Sequence[str], start: int = 0) -> dict:
    """Overrides by which a student takes up its first phase.

    Args:
        key: config key that takes the weights to start from.
        checkpoints: of the teachers; several teach together.
        start: number of the checkpoint to start from.
    """
    options: dict[str, Any] = {key: checkpoints[start]}
    if len(checkpoints) > 1:
        options["model.teachers"] = list(checkpoints)
    return options


def plan_phases(arguments: Namespace, student: Config) -> tuple[list[Phase], Phase]:
    """The teachers and the student of a command line.

    Args:
        arguments: ``config`` with the options of ``tools/train.py``, and
            ``teacher_options``, ``teacher_work_dir``.
        student: what ``arguments.config`` stands for, as read.

    Raises:
        FileNotFoundError: there is no such config.
        ValueError: the config has no teacher, or one that does not fit.
    """
    options = dict(arguments.cfg_options or {})
    overrides = {**config_overrides(arguments), "check_files": ()}
    resolved = resolve_config(student, **overrides)
    merge_options(student, options)
    first = first_phase(
        student, resolved.get("seed"), options, arguments.teacher_options or {}
    )
    if first is None:
        raise UserError(
            f"{arguments.config} names no teacher_config, the config of its first "
            "phase: set it, or train it in one phase with tools/train.py"
        )
    teachers = [
        _teacher_phase(arguments, resolved, first, seed) for seed in first.seeds
    ]
    checkpoints = [str(teacher.checkpoint) for teacher in teachers]
    options |= start_options(first.start_key, checkpoints, first.start)
    phase = Phase(
        "student",
        _command(arguments, arguments.config, resolved, options, arguments.work_dir),
        Path(resolved.work_dir),
        resolved.train_cfg.max_iters,
        _student_record(arguments, resolved, options),
    )
    return teachers, phase


def _student_record(
    arguments: Namespace, resolved: Config, options: Mapping[str, Any]
) -> dict[str, Any]:
    """What the student's training depends on; not how its batches are loaded."""
    split = {key: resolved.get(key) for key in ("fold", "percent", "seed")}
    loading = re.compile(r"^\w+_dataloader\.\w*(workers|pin_memory|prefetch)\w*$")
    changes = {key: v for key, v in options.items() if not loading.match(key)}
    return {
        "config": Path(arguments.config).stem,
        **split,
        "max_iters": resolved.train_cfg.max_iters,
        **_run_options(arguments),
        **changes,
    }


def _run_options(arguments: Namespace) -> dict[str, Any]:
    """The given options of both phases that the resolved configs do not have."""
    values = {key: getattr(arguments, key) for key in ("amp", "auto_scale_lr")}
    return {key: value for key, value in values.items() if value is not None}


def _teacher_phase(
    arguments: Namespace, student: Config, first: FirstPhase, seed: int
) -> Phase:
    """The training of one teacher."""
    name, options, changes = first.config, first.options, first.changes
    split = {key: student.get(key) for key in ("fold", "percent")}
    cfg = resolve_config(
        load_config(name),
        **split,
        seed=seed,
        cfg_options=options,
        check_files=(),
    )
    check_networks(student.model.detector, cfg.model, name)
    work_dir = Path(cfg.work_dir)
    work_dir = work_dir.parent.with_name(_changed_name(work_dir.parent, changes))
    work_dir /= Path(cfg.work_dir).name
    if arguments.teacher_work_dir:
        work_dir = Path(arguments.teacher_work_dir)
        work_dir = work_dir / f"seed{seed}" if len(first.seeds) > 1 else work_dir
    command = _command(arguments, name, cfg, options, str(work_dir))
    known = {key: cfg.get(key) for key in SHARED if cfg.get(key) is not None}
    record = {
        "config": name,
        **split,
        "seed": seed,
        "max_iters": cfg.train_cfg.max_iters,
        **_run_options(arguments),
        **known,
        **changes,
    }
    return Phase(
        f"teacher (seed {seed})",
        command,
        work_dir,
        cfg.train_cfg.max_iters,
        record,
        "--teacher-work-dir",
    )


def _command(
    arguments: Namespace,
    config: str,
    resolved: Config,
    options: Mapping[str, Any],
    work_dir: str | None,
) -> list[str]:
    """Arguments of ``tools/train.py`` for one phase."""
    split = {key: resolved.get(key) for key in ("fold", "percent", "seed")}
    scale = arguments.auto_scale_lr
    return train_command(config, split, work_dir, arguments.amp, options, scale)


def train_command(
    config: str,
    split: Mapping[str, Any],
    work_dir: str | Path | None,
    amp: str | bool | None,
    options: Mapping[str, Any],
    auto_scale_lr: bool | None = None,
) -> list[str]:
    """Arguments of ``tools/train.py``.

    Args:
        config: what to train.
        split: fold, percent and seed; those that are None stay as the config has them.
        work_dir: output folder; None for the default.
        amp: precision, or True for the device's own.
        options: dotted overrides.
        auto_scale_lr: whether the learning rate follows the batch.
    """
    command = [str(config)]
    for key, value in split.items():
        if value is not None:
            text = f"{value:g}" if key == "percent" else str(value)
            command += [f"--{key}", text]
    if work_dir:
        command += ["--work-dir", str(work_dir)]
    if amp:
        command += ["--amp"] if amp is True else ["--amp", amp]
    if auto_scale_lr is not None:
        command.append(f"--{'' if auto_scale_lr else 'no-'}auto-scale-lr")
    if options:
        command.append("--cfg-options")
        command += [f"{key}={option_text(value)}" for key, value in options.items()]
    return command


def option_text(value: Any) -> str:
    """A value as ``--cfg-options`` reads it."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{','.join(option_text(item) for item in value)}]"
    return str(value)


def _changed_name(folder: Path, changes: Mapping[str, Any]) -> str:
    """A folder's name that tells a changed teacher from the plain one.

    How its batches are loaded is not told.
    """
    parts = [
        re.sub(r"[^\w.]+", "", f"{key.split('.')[-1]}{value}")
        for key, value in changes.items()
        if not key.startswith("train_dataloader.")
    ]
    return "-".join([folder.name, *sorted(parts)])


def check_networks(student: Config, teacher: Config, name: str) -> None:
    """Refuse a teacher whose weights would not fit the student's detector."""
    pair = [
        Config({key: model[key] for key in _NETWORKS if key in model})
        for model in (teacher, student)
    ]
    for key, (theirs, ours) in changed_keys(*pair).items():
        if not _NO_WEIGHTS.search(key):
            raise UserError(
                f"the teacher of {name} has {key}={theirs}, the student's detector "
                f"{key}={ours}: make them equal, by teacher_options in the student's "
                f"config or --teacher-options model.{key}=..."
            )
