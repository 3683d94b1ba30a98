"""Train a method on a user's folder of images: which config, which split, which phases.

Everything is planned without torch; the trainings are processes of their own.
"""

from __future__ import annotations

import json
import subprocess
import sys
from argparse import Namespace
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ssod_mm.cli.lookup import config_roots
from ssod_mm.cli.own_data import (
    OwnData,
    choose_detector,
    read_own_data,
    with_image_folder,
)
from ssod_mm.cli.phases import Phase, plan_phases, train_command
from ssod_mm.cli.resolve import resolve_config
from ssod_mm.cli.tool_files import tools_folder
from ssod_mm.errors import UserError
from ssod_mm.formats.sizes import proposal_for
from ssod_mm.reporting.records import RECORD_FILE, read_record
from ssod_mm.reporting.tables import record_rows, result_rows, terminal_table
from ssod_mm.sweep.spec import Row, load_sweep
from ssod_mm.sweep.targets import load_target

SWEEP = "folder"
"""The sweep whose rows say which config a method has on a user's folder, and how long
its phases are."""


def folder_row(
    method: str, detector: str | None = None, iters: Sequence[int] | None = None
) -> tuple[Row, str]:
    """The sweep's row of a method, and the config to train.

    Args:
        method: key of the row.
        detector: a detector that the method's configs for a folder name; None for the
            row's.
        iters: lengths of first and second phase; None for the sweep's.

    Raises:
        UserError: no such method or detector, and names those that there are; or a
            length below 1.
    """
    sweep = load_sweep(SWEEP)
    if iters is not None:
        if len(iters) != 2 or min(iters) < 1:
            raise UserError(f"--iters {iters}: two numbers, each at least 1")
        first, second = ({"max_iters": number} for number in iters)
        sweep = sweep.with_options(second, first)
    rows = {row.key: row for row in sweep.rows if row.of is None}
    if method not in rows:
        raise UserError(f"--method {method} is none of {', '.join(rows)}")
    row = rows[method]
    if detector is None:
        return row, row.config
    folder = Path(row.config).parent
    files = sorted((config_roots()[0] / folder).glob(f"{folder.name}_*folder.py"))
    names = {
        file.stem.removeprefix(f"{folder.name}_").removesuffix("_folder"): file.name
        for file in files
    }
    return row, str(folder / choose_detector(method, names, detector))


def plan_folder(
    data: OwnData,
    method: str,
    *,
    detector: str | None = None,
    unlabelled: str | Path | None = None,
    pretrained: str | None = None,
    iters: Sequence[int] | None = None,
    fold: int | None = None,
    percent: float | None = None,
    seed: int | None = None,
    work_dir: str | Path | None = None,
    amp: str | bool | None = None,
    auto_scale_lr: bool | None = None,
    cfg_options: Mapping[str, Any] | None = None,
) -> tuple[list[Phase], tuple[int, float] | None]:
    """The trainings of a method on a folder.

    Args:
        data: the folder.
        method: key of a row of the sweep ``folder``.
        detector: see :func:`folder_row`.
        unlabelled: folder of images without labels, taught beside all labels; None
            splits the labels, or with ``percent=100`` takes those of the folder.
        pretrained: ImageNet weights of the backbone.
        iters: iterations of teacher and student; None for the sweep's.
        fold: number of the label split; None for 1.
        percent: labelled images in percent; None for the sweep's.
        seed: seed of data order and training; None for 0.
        work_dir: output folder; by default
            ``work_dirs/<folder>/<config>/fold<k>-p<percent>-seed<s>``.
        amp: mixed precision, see :func:`ssod_mm.apis.train`.
        auto_scale_lr: whether the learning rate follows the batch.
        cfg_options: overrides of the last phase; those of the data go to all.

    Returns:
        Phases in their order, and fold and percent of the split that they read, or None
        where they read all labels.

    Raises:
        FileNotFoundError: a folder or config is missing.
        UserError: options that do not fit together.
    """
    row, config = folder_row(method, detector, iters)
    plain = load_target(config)
    has_teacher = bool(plain.get("teacher_config"))
    if pretrained and "{pretrained}" not in str(plain.model.to_dict()):
        raise UserError(
            f"--pretrained {pretrained}: no part of {config} loads ImageNet weights; "
            "leave it out"
        )
    fold, seed = fold or 1, seed or 0
    options, teacher_options = data.options(pretrained), {}
    if unlabelled is None and percent == 100 and has_teacher:
        unlabelled = data.unlabelled
    if unlabelled is not None:
        if not has_teacher or percent not in (None, 100):
            raise UserError(
                "--unlabelled adds a folder of images to all labels: it needs a method "
                "with a teacher, and no --percent"
            )
        percent = 100
        options |= with_image_folder(unlabelled)
        key = "train_dataloader.dataset.datasets.0.ann_file"
        teacher_options[key] = options[key]
    percent = row.ratios[0] if percent is None else percent
    if percent == 100 and has_teacher and unlabelled is None:
        raise UserError(
            "with --percent 100 no image is left without labels: name a folder of "
            "images with --unlabelled, or take --method supervised"
        )
    name = f"fold{fold}-p{percent:g}-seed{seed}"
    top = Path("work_dirs", data.root.name)
    work_dir = Path(work_dir or top / Path(config).stem / name)
    split = dict(fold=fold, percent=percent, seed=seed)
    if has_teacher:
        first = Path(plain.teacher_config).stem
        teachers, student = plan_phases(
            Namespace(
                config=config,
                **split,
                work_dir=str(work_dir),
                amp=amp,
                auto_scale_lr=auto_scale_lr,
                cfg_options={**row.options, **options, **(cfg_options or {})},
                teacher_options={**row.teacher_options, **teacher_options},
                teacher_work_dir=str(top / first / name),
            ),
            plain,
        )
        phases = [*teachers, student]
    else:
        length = {} if iters is None else {"max_iters": sum(iters)}
        options = {**options, **length, **(cfg_options or {})}
        cfg = resolve_config(plain, **split, cfg_options=options, check_files=())
        command = train_command(config, split, work_dir, amp, options, auto_scale_lr)
        record = dict(config=config, **split, **options)
        phases = [Phase(method, command, work_dir, cfg.train_cfg.max_iters, record)]
    return phases, None if unlabelled is not None else (fold, percent)


def make_split(
    data: OwnData, fold: int, percent: float, say: Callable[[str], None]
) -> None:
    """Write the label split of a folder.

    Raises:
        UserError: the tool failed; it has said why.
    """
    say(f"splitting {data.train_json}: {percent:g} % of its images keep their labels")
    tool = tools_folder() / "make_splits.py"
    command = [sys.executable, str(tool), *data.split_options(fold, percent)]
    # Its tables are long where classes are many.
    if subprocess.run(command, check=False, stdout=subprocess.DEVNULL).returncode:
        raise UserError("the split was not made; the reason is above")
    say(labelled_boxes(data.split_file(fold, percent)))


def labelled_boxes(split_file: Path) -> str:
    """One line about the labelled images of a split and the boxes of each class."""
    split = json.loads(split_file.read_bytes())
    counts = Counter(annotation["category_id"] for annotation in split["annotations"])
    boxes = {c["name"]: counts[c["id"]] for c in split["categories"]}
    text = ", ".join(f"{name} {count}" for name, count in boxes.items())
    text = f"{len(split['images'])} labelled images with boxes of {text}"
    if not all(boxes.values()):
        text += "; a class without boxes cannot be learnt: take more --percent"
        text += " or another --fold"
    return text


def results_table(phases: Sequence[Phase], method: str, title: str) -> str:
    """AP, AP50 and AP75 at the end of each phase, for the terminal.

    Args:
        phases: trained ones.
        method: what the last phase is called.
        title: of the table.

    Returns:
        The table; "" where the phases left no records.
    """
    rows = []
    for phase in phases:
        if (phase.work_dir / RECORD_FILE).is_file():
            record = read_record(phase.work_dir)
            name = method if phase is phases[-1] else phase.name
            label = f"{name}, {phase.max_iters} iterations"
            rows += record_rows(label, record)
    return terminal_table(result_rows(rows), title) if rows else ""


def train_folder(
    root: str | Path,
    method: str,
    say: Callable[[str], None],
    *,
    nproc: int = 1,
    check: bool = False,
    only_files: bool = False,
    **options: Any,
) -> int:
    """Train a method on a folder, a teacher first where the method has one.

    Args:
        root: the folder, see ``docs/own_data.md``.
        method: key of a row of the sweep ``folder``.
        say: takes a line for the user.
        nproc: processes of each training.
        check: whether all that a training would refuse is checked, and none begun. A
            split that is missing is made.
        only_files: whether a check looks at options and files alone and writes nothing.
        **options: options of :func:`plan_folder`.

    Returns:
        The exit code of the training that failed, or 0.

    Raises:
        FileNotFoundError: a folder, file or config is missing.
        UserError: something does not fit; the message says the way out.
    """
    from ssod_mm.cli.run_phases import train_phases

    data = read_own_data(root)
    phases, split = plan_folder(data, method, **options)
    if split is not None and not data.split_file(*split).is_file():
        if check and only_files:
            say(f"in order, but {data.split_file(*split)}: training makes it")
            return 0
        make_split(data, *split, say)
    labels = data.train_json if split is None else data.split_file(*split)
    if "sizes" not in (options.get("cfg_options") or {}) and labels.is_file():
        say(f"{proposal_for(labels)}; --cfg-options sizes=proposed takes them")
    code = train_phases(phases, nproc, check, say, only_files)
    if not code and not check:
        last = phases[-1]
        say(results_table(phases, method, data.root.name))
        say(f"checkpoint: {last.checkpoint}")
        command = f"ssod predict {config_file(last)} {last.checkpoint} IMAGES --out OUT"
        say(f"to use it: {command}")
    return code


def config_file(phase: Phase) -> Path:
    """The config that a training has left in its output folder."""
    return phase.work_dir / Path(phase.arguments[0]).name
