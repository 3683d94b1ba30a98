"""What the tools train, test and print: a config, or ``SWEEP:ROW``, one row of a sweep.

A row's config is the one that the sweep would train for its first ratio, fold and seed.
"""

from __future__ import annotations

import difflib
from pathlib import Path

from mmengine.config import Config

from ssod_mm.cli.lookup import load_config, load_parent
from ssod_mm.cli.resolve import merge_options, set_precision
from ssod_mm.errors import UserError
from ssod_mm.sweep.spec import Row, Sweep, load_sweep


def load_target(target: str | Path, percent: float | None = None) -> Config:
    """Read the config that a target stands for.

    Args:
        target: a config, as in :func:`ssod_mm.cli.lookup.load_config`, or
            ``SWEEP:ROW``: a sweep file or its name, and the key of a row. An
            override's own name is enough where it changes one method.
        percent: labelled images in percent; None for a row's first ratio.

    Returns:
        The config; a row's has its options, precision, fold, seed and first phase, and
        an output folder of its own.

    Raises:
        FileNotFoundError: no such config or sweep; names the most similar ones.
        ValueError: the file is not valid, or the sweep has no such row.
    """
    if not is_row(target):
        return load_config(target)
    sweep, row = _find_row(str(target))
    return _row_config(sweep, row, percent)


def load_reference(target: str | Path, percent: float | None = None) -> Config:
    """Read what a target is a change of.

    Args:
        target: as in :func:`load_target`.
        percent: labelled images in percent.

    Returns:
        For an override the row that it is "of", for a method its config as the file
        has it, for a config what it inherits. The output folder is the target's.

    Raises:
        FileNotFoundError: see :func:`load_target`.
        ValueError: see :func:`load_target`; or a config that inherits from nothing.
    """
    if not is_row(target):
        return load_parent(target)
    sweep, row = _find_row(str(target))
    if row.of is not None:
        base = next(other for other in sweep.rows if other.key == row.of)
        ratio = row.ratios[0] if percent is None else percent
        reference = _row_config(sweep, base, ratio)
    else:
        reference = load_config(row.config)
    reference.work_dir = _row_config(sweep, row, percent).work_dir
    return reference


def is_row(target: str | Path) -> bool:
    """Whether a target is ``SWEEP:ROW``, not the path of a config."""
    return ":" in str(target) and not Path(target).is_file()


def _find_row(target: str) -> tuple[Sweep, Row]:
    """The sweep and the row of ``SWEEP:ROW``.

    Raises:
        ValueError: no such row, or an override's name that stands for several rows.
    """
    name, key = target.rsplit(":", 1)
    sweep = load_sweep(name)
    rows = {row.key: row for row in sweep.rows}
    if key in rows:
        return sweep, rows[key]
    same_name = [
        row for row in sweep.rows if row.of and row.key.split("+", 1)[1] == key
    ]
    if len(same_name) == 1:
        return sweep, same_name[0]
    if same_name:
        keys = " or ".join(f"{name}:{row.key}" for row in same_name)
        raise UserError(f"{target} stands for several rows: say {keys}")
    short_names = [known.split("+", 1)[-1] for known in rows]
    known = list(dict.fromkeys([*short_names, *rows]))
    near = difflib.get_close_matches(key, known, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else f"it has {', '.join(rows)}"
    raise UserError(f"the sweep {sweep.name} has no row {key!r}; {hint}")


def _row_config(sweep: Sweep, row: Row, percent: float | None) -> Config:
    cfg = load_config(row.config)
    try:
        merge_options(cfg, row.options)
    except ValueError as error:
        raise UserError(f"{sweep.path}: row {row.key}: {error}") from error
    set_precision(cfg, sweep.amp)
    ratio = row.ratios[0] if percent is None else percent
    split = dict(fold=sweep.folds[0], percent=ratio, seed=sweep.seeds[0])
    for key, value in split.items():
        if value is not None:
            cfg[key] = value
    if row.teacher:
        cfg.teacher_config = row.teacher
    if row.teacher_options:
        known = cfg.get("teacher_options") or {}
        cfg.teacher_options = {**known, **row.teacher_options}
    marks = [
        f"{letter}{{{key}}}"
        for key, letter in (("fold", "fold"), ("percent", "p"), ("seed", "seed"))
        if cfg.get(key) is not None
    ]
    cfg.work_dir = str(Path("work_dirs", sweep.name, row.key, "-".join(marks)))
    return cfg
