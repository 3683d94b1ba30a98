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
from ssod_mm.cli.resolve import resolve_config
from ssod_mm.cli.run_folders import numbered_checkpoints

SHARED = ("data_root", "coco_root", "num_classes", "pretrained")
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
                raise ValueError(
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


def plan_phases(arguments: Namespace) -> tuple[list[Phase], Phase]:
    """The teachers and the student of a command line.

    Args:
        arguments: ``config`` with the options of ``tools/train.py``, and
            ``teacher_options``, ``teacher_work_dir``.

    Raises:
        FileNotFoundError: there is no such config.
        ValueError: the config has no teacher, or one that does not fit.
    """
    options = dict(arguments.cfg_options or {})
    student = load_config(arguments.config, options)
    if not student.get("teacher_config"):
        raise ValueError(
            f"{arguments.config} names no teacher_config, the config of its first "
            "phase: set it, or train it in one phase with tools/train.py"
        )
    overrides = {**config_overrides(arguments), "check_files": ()}
    resolved = resolve_config(student, **overrides)
    seeds = student.get("teacher_seeds") or [resolved.get("seed", 0)]
    teachers = [
        _teacher_phase(arguments, resolved, seed, len(seeds) > 1) for seed in seeds
    ]
    own = seeds.index(resolved.seed) if resolved.get("seed") in seeds else 0
    start = teachers[own].checkpoint
    key = "continue_from" if "continue_from" in student else "load_from"
    options[key] = str(start)
    if len(teachers) > 1:
        options["model.teachers"] = [str(one.checkpoint) for one in teachers]
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
    arguments: Namespace, student: Config, seed: int, several: bool
) -> Phase:
    """The training of one teacher."""
    given = {k: v for k, v in (arguments.cfg_options or {}).items() if k in SHARED}
    changes = {
        **(student.get("teacher_options") or {}),
        **(arguments.teacher_options or {}),
    }
    options = {**given, **changes}
    name = student.teacher_config
    split = {key: student.get(key) for key in ("fold", "percent")}
    cfg = resolve_config(
        load_config(name, options),
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
        work_dir = work_dir / f"seed{seed}" if several else work_dir
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
    command = [str(config)]
    for key in ("fold", "percent", "seed"):
        if resolved.get(key) is not None:
            command += [f"--{key}", str(resolved[key])]
    if work_dir:
        command += ["--work-dir", str(work_dir)]
    if arguments.amp:
        command += ["--amp"] if arguments.amp is True else ["--amp", arguments.amp]
    if arguments.auto_scale_lr is not None:
        command.append(f"--{'' if arguments.auto_scale_lr else 'no-'}auto-scale-lr")
    if options:
        command.append("--cfg-options")
        command += [f"{key}={option_text(value)}" for key, value in options.items()]
    return command


def option_text(value: Any) -> str:
    """A value as ``--cfg-options`` reads it."""
    if isinstance(value, Sequence) and not isinstance(value, str):
        return f"[{','.join(option_text(one) for one in value)}]"
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
            raise ValueError(
                f"the teacher of {name} has {key}={theirs}, the student's detector "
                f"{key}={ours}: make them equal, by teacher_options in the student's "
                f"config or --teacher-options model.{key}=..."
            )
