"""What a YOLO folder consists of: its ``data.yaml``, or its list of classes."""

from __future__ import annotations

import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import yaml

from ssod_mm.errors import UserError
from ssod_mm.formats.collect import text_lines
from ssod_mm.formats.images import EXTENSIONS, file_names


def data_yaml(root: Path, texts: Sequence[Path]) -> tuple[Path, dict[str, Any]] | None:
    """The yaml with ``names`` and ``train``, directly in the folder.

    Raises:
        UserError: a yaml cannot be read, or several fit.
    """
    yamls = []
    for path in texts:
        if path.parent != root or path.suffix not in (".yaml", ".yml"):
            continue
        try:
            data = yaml.safe_load(path.read_text("utf-8-sig"))
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            raise UserError(f"{path} is no valid yaml: {error}") from None
        if isinstance(data, dict) and "names" in data and "train" in data:
            yamls.append((path, data))
    if len(yamls) > 1:
        names = ", ".join(str(path) for path, _ in yamls)
        raise UserError(f"{root} has several files for YOLO: {names}; leave one there")
    return yamls[0] if yamls else None


def class_names(path: Path, names: Any) -> list[str]:
    """Classes of a yaml: a list, or names by number.

    Raises:
        UserError: neither; or a number is missing, or a name there twice.
    """
    if isinstance(names, dict) and all(type(key) is int for key in names):
        if sorted(names) != list(range(len(names))):
            raise UserError(f"{path}: names must count from 0: {sorted(names)[:12]}")
        names = [names[number] for number in range(len(names))]
    if not isinstance(names, list) or not names:
        raise UserError(f"{path}: names must list the classes, not {names!r}")
    return _checked(path, [str(name).strip() for name in names])


def listed_classes(path: Path) -> list[str]:
    """Classes of a text file, one a line.

    Raises:
        UserError: it names none, or one twice.
    """
    lines = text_lines(path)
    while lines and not lines[-1].strip():
        lines.pop()
    return _checked(path, [line.strip() for line in lines])


def _checked(path: Path, names: list[str]) -> list[str]:
    if not names or not all(names):
        raise UserError(f"{path} must name the classes, one a line, none empty")
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise UserError(f"{path}: class {twice!r} is there more than once")
    return names


def yaml_images(
    path: Path, data: dict[str, Any], key: str, lists: list[Path]
) -> Iterator[Path]:
    """Images of a part of a yaml: folders, or text files of one image a line.

    Raises:
        UserError: a folder or file is not there, or lies outside the data folder.
    """
    entries = data.get(key) or []
    for entry in [entries] if isinstance(entries, str) else entries:
        place = _yaml_place(path, data, str(entry))
        if place is None:
            if key == "test":
                continue
            raise UserError(f"{path}: {key}: there is no {entry}")
        if place.is_dir():
            names = sorted(file_names(place, EXTENSIONS))
            yield from (place / name for name in names)
            continue
        lists.append(place)
        for number, line in enumerate(text_lines(place), start=1):
            if line.strip():
                image = _yaml_place(path, data, line.strip(), place.parent)
                if image is None:
                    raise UserError(f"{place}: line {number}: there is no {line}")
                yield image


def _yaml_place(
    path: Path, data: dict[str, Any], entry: str, beside: Path | None = None
) -> Path | None:
    """Where an entry of a yaml lies, within the folder of the yaml.

    ``path`` of the yaml may be that of another machine, and some exporters write
    ``../train/images`` for ``train/images``.
    """
    root = path.parent
    inside = str(data.get("path") or "")
    while entry.startswith("./"):
        entry = entry[2:]
    shorter = entry
    while shorter.startswith("../"):
        shorter = shorter[3:]
    bases = [root / inside, *([beside] if beside else []), root]
    for place in [*(base / entry for base in bases), root / shorter]:
        place = Path(os.path.normpath(place))
        if place.exists() and place.is_relative_to(root):
            return place
    return None
