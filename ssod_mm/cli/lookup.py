"""Find, read and compare configs."""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from mmengine.config import Config

from ssod_mm.cli.overrides import config_files
from ssod_mm.errors import UserError


def config_roots() -> list[Path]:
    """Existing folders that hold the project's configs, the repository's first."""
    package = Path(__file__).resolve().parents[1]
    roots = [package.parent / "configs", package / "configs"]
    return [root for root in roots if (root / "_base_").is_dir()]


def find_config(name: str | Path) -> Path:
    """Path of a config given by its path or by its place below the config root.

    Raises:
        FileNotFoundError: no such config; names the most similar ones.
    """
    names = [Path(name)]
    if Path(name).suffix != ".py":
        names.append(Path(f"{name}.py"))
    roots = config_roots()
    for candidate in names + [root / path for root in roots for path in names]:
        if candidate.is_file():
            return candidate.resolve()
    known = sorted(
        str(path.relative_to(root))
        for root in roots
        for path in root.rglob("*.py")
        if not {"_base_", "_sweeps"} & set(path.parts)
    )
    by_stem = {Path(path).stem: path for path in known}
    stems = difflib.get_close_matches(Path(name).stem, by_stem, n=3, cutoff=0.5)
    similar = [by_stem[stem] for stem in stems]
    hint = f"; did you mean {' or '.join(similar)}?" if similar else ""
    raise FileNotFoundError(f"no config {name}{hint}")


def load_config(name: str | Path) -> Config:
    """Read a config as its files have it, without importing what it uses.

    Args:
        name: A path, or a path relative to a config root.

    Raises:
        FileNotFoundError: no such config.
        ValueError: the file is not a valid config; names it and the reason.
    """
    path = find_config(name)
    try:
        for _ in config_files(path):
            pass  # names a circle, where mmengine would not end
        return Config.fromfile(str(path), import_custom_modules=False)
    except FileNotFoundError as error:
        raise FileNotFoundError(f"{path} inherits from a file: {error}") from error
    except (
        SyntaxError,
        KeyError,
        NameError,
        TypeError,
        AttributeError,
        ValueError,
    ) as error:
        reason = f"{type(error).__name__}: {error}"
        raise UserError(f"{path} is no valid config: {reason}") from error


def load_parent(name: str | Path) -> Config:
    """What a config inherits, before its own lines.

    Args:
        name: A path, or a path relative to a config root.

    Raises:
        ValueError: it inherits from nothing.
    """
    path = find_config(name)
    bases: list[str] = []
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_base_":
            value = ast.literal_eval(node.value)
            bases = [value] if isinstance(value, str) else list(value)
    if not bases:
        raise UserError(f"{path} inherits from no other config")
    absolute = [str((path.parent / base).resolve()) for base in bases]
    with TemporaryDirectory() as folder:
        parent = Path(folder, f"parent_of_{path.name}")
        parent.write_text(f"_base_ = {absolute!r}\n")
        return load_config(parent)


def changed_keys(old: Config, new: Config) -> dict[str, tuple[Any, Any]]:
    """What differs between two configs: ``{dotted key: (old value, new value)}``.

    A key that one side lacks counts as ``None`` there. Lists of equal length are
    compared item by item, others as a whole.
    """
    return dict(_changes(old.to_dict(), new.to_dict(), ""))


def _changes(old: Any, new: Any, prefix: str) -> Iterator[tuple[str, tuple[Any, Any]]]:
    if isinstance(old, dict) and isinstance(new, dict):
        keys = dict.fromkeys([*old, *new])
        pairs = [(key, old.get(key), new.get(key)) for key in keys]
    elif _is_list(old) and _is_list(new) and len(old) == len(new):
        pairs = [
            (place, *both) for place, both in enumerate(zip(old, new, strict=True))
        ]
    else:
        if old != new:
            yield prefix, (old, new)
        return
    for key, before, after in pairs:
        yield from _changes(before, after, f"{prefix}.{key}" if prefix else str(key))


def _is_list(value: Any) -> bool:
    return isinstance(value, (list, tuple))
