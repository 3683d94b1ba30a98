"""Sweep files: which configs are trained on which splits."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from mmengine.config import Config

from ssod_mm.cli.lookup import config_roots
from ssod_mm.errors import UserError

SWEEP_FOLDER = "_sweeps"
_METHOD_KEYS = {
    "config",
    "label",
    "options",
    "teacher",
    "teacher_options",
    "ratios",
    "model",
    "published",
    "table",
}
_SWEEP_KEYS = {
    "title",
    "methods",
    "overrides",
    "ratios",
    "folds",
    "seeds",
    "budget",
    "teacher_budget",
    "baseline",
    "metric",
    "amp",
}
_MODELS = ("teacher", "student")


@dataclass(frozen=True)
class Row:
    """One row of the table: a method, or a named override of one.

    Attributes:
        key: its name in the sweep file; ``<method>+<override>`` for an override.
        label: what the reader sees.
        config: path below ``configs/``.
        options: dotted keys and values, as of ``--cfg-options``.
        teacher: config of the first phase; None for the config's ``teacher_config``
            if it has one.
        teacher_options: overrides of the first phase.
        ratios: labelled images in percent; None where the config's data has no ratio.
        model: the model whose results count; None for the teacher where there is one.
        of: key of the method that an override changes; None for a method.
        published: AP that the paper reports, in percent, by ratio.
        table: the paper's table that has it, such as "5"; "" where the file names none.
    """

    key: str
    label: str
    config: str
    options: dict[str, Any] = field(default_factory=dict)
    teacher: str | None = None
    teacher_options: dict[str, Any] = field(default_factory=dict)
    ratios: tuple[float | None, ...] = (None,)
    model: str | None = None
    of: str | None = None
    published: dict[float | None, float] = field(default_factory=dict)
    table: str = ""


@dataclass(frozen=True)
class Sweep:
    """A sweep file.

    Attributes:
        name: name of the file.
        title: heading of table and report.
        rows: methods and overrides in the order of the file.
        ratios: columns of the table.
        folds: label splits of every cell.
        seeds: seeds of every fold.
        baseline: key of the row that gains refer to, or None.
        metric: key of the validation result, without the model.
        amp: precision of all trainings; None for float32.
        path: the file.
    """

    name: str
    title: str
    rows: tuple[Row, ...]
    ratios: tuple[float | None, ...]
    folds: tuple[int, ...]
    seeds: tuple[int, ...]
    baseline: str | None
    metric: str
    amp: str | None
    path: Path

    def select(
        self,
        rows: Sequence[str] | None = None,
        ratios: Sequence[float] | None = None,
        folds: Sequence[int] | None = None,
        seeds: Sequence[int] | None = None,
    ) -> Sweep:
        """This sweep with other columns, folds and seeds, or with some of its rows.

        A row that the file keeps to some of its ratios gets no others.

        Args:
            rows: keys, in any order; None for all, as of the others.
            ratios: labelled images in percent.
            folds: label splits.
            seeds: seeds of every fold.

        Raises:
            ValueError: an unknown row, something named twice, ratios for data that has
                none, or nothing left to train.
        """
        given = dict(rows=rows, ratios=ratios, folds=folds, seeds=seeds)
        for key, values in given.items():
            if values is not None:
                _listed(given, key, [], self.path)
        keys = [row.key for row in self.rows]
        unknown = [key for key in rows or () if key not in keys]
        if unknown:
            raise UserError(f"{self.path} has no row {unknown[0]}; {', '.join(keys)}")
        if ratios is not None and None in self.ratios:
            raise UserError(f"{self.path}: its data has no label ratios to choose")
        columns = self.ratios if ratios is None else tuple(ratios)
        chosen = []
        for row in self.rows:
            row_ratios = row.ratios if set(row.ratios) != set(self.ratios) else columns
            row_ratios = tuple(ratio for ratio in columns if ratio in row_ratios)
            if row_ratios and (rows is None or row.key in rows):
                chosen.append(replace(row, ratios=row_ratios))
        if not chosen:
            raise UserError(f"{self.path}: no chosen row has the ratios {columns}")
        is_compared = self.baseline in [row.key for row in chosen]
        return replace(
            self,
            rows=tuple(chosen),
            ratios=columns,
            folds=self.folds if folds is None else tuple(folds),
            seeds=self.seeds if seeds is None else tuple(seeds),
            baseline=self.baseline if is_compared else None,
        )

    def with_options(
        self, options: Mapping[str, Any], teacher_options: Mapping[str, Any]
    ) -> Sweep:
        """This sweep with further options of all rows and of all first phases.

        With other options the trainings are no longer those of the paper, so the
        published numbers fall away.
        """
        if not options and not teacher_options:
            return self
        rows = [
            replace(
                row,
                options={**row.options, **options},
                teacher_options={**row.teacher_options, **teacher_options},
                published={},
            )
            for row in self.rows
        ]
        return replace(self, rows=tuple(rows))


def find_sweep(name: str | Path) -> Path:
    """Path of a sweep file given by its path or its name in ``configs/_sweeps``.

    Raises:
        FileNotFoundError: no such file; names the most similar ones, or all.
    """
    folders = [root / SWEEP_FOLDER for root in config_roots()]
    given = Path(name)
    names = [given] if given.suffix == ".py" else [given, Path(f"{name}.py")]
    for path in names + [folder / name for folder in folders for name in names]:
        if path.is_file():
            return path.resolve()
    known = sorted({path.stem for folder in folders for path in folder.glob("*.py")})
    near = difflib.get_close_matches(given.stem, known, n=3)
    hint = f"did you mean {' or '.join(near)}?" if near else ""
    hint = hint or f"there are {', '.join(known)}"
    raise FileNotFoundError(f"no sweep file {name}; {hint}")


def load_sweep(name: str | Path) -> Sweep:
    """Read a sweep file.

    Args:
        name: as in :func:`find_sweep`.

    Raises:
        FileNotFoundError: no such file.
        ValueError: a key that is unknown, missing or does not fit; names it.
    """
    path = find_sweep(name)
    try:
        content = Config.fromfile(str(path), import_custom_modules=False).to_dict()
    except (SyntaxError, NameError, TypeError, KeyError, ValueError) as error:
        raise UserError(f"{path} is no valid sweep file: {error}") from error
    return parse_sweep(content, path)


def parse_sweep(content: Mapping[str, Any], path: Path) -> Sweep:
    """A sweep from what its file says.

    Args:
        content: keys and values of the file.
        path: the file, for its name and for messages.

    Raises:
        ValueError: see :func:`load_sweep`.
    """
    content = {k: v for k, v in content.items() if not k.startswith("_")}
    _refuse_unknown(content, _SWEEP_KEYS, f"{path}")
    ratios = tuple(_listed(content, "ratios", [None], path))
    rows = _rows(content, ratios, path)
    baseline = content.get("baseline")
    if baseline is not None and baseline not in rows:
        raise UserError(f"{path}: baseline={baseline!r} is none of {list(rows)}")
    return Sweep(
        name=path.stem,
        title=str(content.get("title", path.stem.replace("_", " "))),
        rows=tuple(rows.values()),
        ratios=ratios,
        folds=tuple(_listed(content, "folds", [1], path)),
        seeds=tuple(_listed(content, "seeds", [0], path)),
        baseline=baseline,
        metric=str(content.get("metric", "coco/bbox_mAP")),
        amp=content.get("amp"),
        path=path,
    )


def _rows(
    content: Mapping[str, Any], ratios: tuple[float | None, ...], path: Path
) -> dict[str, Row]:
    """Methods, then overrides, by key."""
    methods = content.get("methods")
    if not methods:
        raise UserError(f"{path}: methods names no config")
    common = Row(
        key="",
        label="",
        config="",
        options=dict(content.get("budget") or {}),
        teacher_options=dict(content.get("teacher_budget") or {}),
        ratios=ratios,
    )
    rows = {
        key: _row(key, entry, common, f"{path}: methods.{key}")
        for key, entry in methods.items()
    }
    for name, entry in (content.get("overrides") or {}).items():
        place = f"{path}: overrides.{name}"
        entry = dict(entry)
        of = entry.pop("of", [])
        if not of:
            raise UserError(f"{place}.of is missing: the method that it changes")
        for method in [of] if isinstance(of, str) else of:
            if method not in methods:
                raise UserError(f"{place}.of={method!r} is none of {list(methods)}")
            key = f"{method}+{name}"
            rows[key] = _row(key, entry, rows[method], place, of=method)
    return rows


def _row(
    key: str, entry: Mapping[str, Any], base: Row, place: str, of: str | None = None
) -> Row:
    """A row that takes from ``base`` what it does not say itself.

    Published numbers are not taken over, because they belong to one training.
    """
    _refuse_unknown(entry, _METHOD_KEYS, place)
    config = entry.get("config", base.config)
    if not config:
        raise UserError(f"{place}.config is missing")
    ratios = tuple(entry.get("ratios", base.ratios))
    strangers = [ratio for ratio in ratios if ratio not in base.ratios]
    if strangers:
        raise UserError(
            f"{place}.ratios has {strangers}, but there are {list(base.ratios)}"
        )
    model = entry.get("model", base.model)
    if model not in (*_MODELS, None):
        raise UserError(f"{place}.model={model!r} must be one of {_MODELS}")
    return Row(
        key=key,
        label=str(entry.get("label", key.split("+")[-1].replace("_", " "))),
        config=str(config),
        options={**base.options, **entry.get("options", {})},
        teacher=entry.get("teacher", base.teacher),
        teacher_options={**base.teacher_options, **entry.get("teacher_options", {})},
        ratios=ratios,
        model=model,
        of=of,
        published=_published(entry, ratios, place),
        table=str(entry.get("table", "")),
    )


def _published(
    entry: Mapping[str, Any], ratios: tuple[float | None, ...], place: str
) -> dict[float | None, float]:
    """The numbers that a row's paper reports, by ratio, or one for its only ratio."""
    given = entry.get("published")
    if given is None:
        return {}
    if not isinstance(given, Mapping):
        if len(ratios) != 1:
            raise UserError(
                f"{place}.published is one number, but the row has the ratios "
                f"{list(ratios)}: give a dict, as in {{{ratios[0]}: {given!r}}}"
            )
        given = {ratios[0]: given}
    for ratio, number in given.items():
        is_number = isinstance(number, (int, float)) and not isinstance(number, bool)
        if not is_number or not 0 <= number <= 100:
            raise UserError(
                f"{place}.published={number!r} must be the paper's AP in percent, 0 to "
                "100"
            )
        if ratio not in ratios:
            raise UserError(
                f"{place}.published has the ratio {ratio}, the row has {list(ratios)}"
            )
    return {ratio: float(number) for ratio, number in given.items()}


def _listed(
    content: Mapping[str, Any], key: str, default: list[Any], path: Path
) -> list[Any]:
    values = content.get(key, default)
    if not isinstance(values, (list, tuple, range)) or not len(values):
        raise UserError(f"{path}: {key}={values!r} must be a list, not empty")
    values = list(values)
    if len(set(values)) < len(values):
        raise UserError(f"{path}: {key}={values} names something twice")
    return values


def _refuse_unknown(content: Mapping[str, Any], known: set[str], place: str) -> None:
    unknown = sorted(set(content) - known)
    if unknown:
        raise UserError(f"{place} has the unknown key {unknown[0]}; {sorted(known)}")
