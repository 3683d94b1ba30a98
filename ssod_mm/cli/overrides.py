"""Overrides of a config: applied where something reads them, else refused.

A config file may use variables that only help it to build other values. Once the file
is read, an override of such a variable would do nothing. Parameters are the exception:
what follows from them is filled in after the overrides.
"""

from __future__ import annotations

import ast
import difflib
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from ssod_mm.cli.parameters import PARAMETERS, RUN_KEYS
from ssod_mm.errors import UserError

# Parts without a ``type`` that take keys beyond those that a config lists: they are
# checked where they are read.
_OPEN_PARTS = {
    "auto_scale_lr",
    "class_balance",
    "dense",
    "env_cfg",
    "ler",
    "mixing",
    "model_wrapper_cfg",
    "prc",
    "randomness",
    "semi_test_cfg",
    "semi_train_cfg",
    "teacher_options",
    "user",
    "views",
}


_SOURCES = {"labelled": 0, "unlabelled": 1}
"""Variables of the config files on data, and where they go in a training set."""


def config_files(path: Path, seen: tuple[Path, ...] = ()) -> Iterator[Path]:
    """A config file and all that it inherits from.

    Raises:
        ValueError: a file inherits from itself.
    """
    path = path.resolve()
    if path in seen:
        circle = " -> ".join(str(file) for file in (*seen[seen.index(path) :], path))
        raise UserError(f"_base_ leads in a circle: {circle}")
    if not path.is_file():
        return
    yield path
    try:
        tree = ast.parse(path.read_text(encoding="utf-8"))
    except (SyntaxError, ValueError):
        return  # mmengine names the mistake
    for node in tree.body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "_base_":
            try:
                value = ast.literal_eval(node.value)
            except ValueError:
                continue
            for base in [value] if isinstance(value, str) else value:
                if isinstance(base, str) and "::" not in base:
                    yield from config_files(path.parent / base, (*seen, path))


def check_overrides(cfg: Config, options: Mapping[str, Any]) -> None:
    """Refuse overrides that would do nothing.

    Args:
        cfg: a config as read from a file; one that was made in code is not checked.
        options: dotted keys and their new values.

    Raises:
        ValueError: names the key and, where there is one, the key that would work.
    """
    if not cfg.filename:
        return
    known = PARAMETERS & set(cfg)
    for key in options:
        first = key.split(".")[0]
        if first not in known | (RUN_KEYS - {"data_root"}):
            way_out = _what_would_work(cfg, key, known)
            raise UserError(f"--cfg-options {key}: nothing reads it; {way_out}")
        _check_place(cfg, key)


def move_data_root(cfg: Config, new: str) -> None:
    """Let every path below a saved config's ``data_root`` lie below another one."""
    old = cfg.get("data_root")
    if not isinstance(old, str) or old == new:
        return

    def moved(node: Any) -> Any:
        if isinstance(node, str):
            inside = node == old or node.startswith(f"{old.rstrip('/')}/")
            return new.rstrip("/") + node[len(old.rstrip("/")) :] if inside else node
        if isinstance(node, dict):
            return ConfigDict({key: moved(value) for key, value in node.items()})
        if isinstance(node, (list, tuple)):
            return type(node)(moved(value) for value in node)
        return node

    for key in list(cfg.keys()):
        cfg[key] = moved(cfg[key])


def _check_place(cfg: Config, key: str) -> None:
    """Refuse a new key in a part that says all its keys.

    A part with a ``type`` refuses unknown keys when it is built.
    """
    node: Any = cfg
    parts = key.split(".")
    for number, part in enumerate(parts):
        if isinstance(node, (list, tuple)):
            if not part.isdigit() or int(part) >= len(node):
                return  # merging names the mistake
            node = node[int(part)]
            continue
        if not isinstance(node, (Mapping, Config)):
            return
        if part in node:
            node = node[part]
            continue
        free = number == 0 or "type" in node or _OPEN_PARTS & set(parts[:number])
        if free or parts[0] in ("default_hooks", "custom_hooks"):
            return
        near = difflib.get_close_matches(part, list(node), n=1)
        meant = ".".join([*parts[:number], near[0]]) if near else ""
        raise UserError(
            f"--cfg-options {key}: {'.'.join(parts[:number])} has no {part}"
            + (f"; did you mean {meant}?" if meant else f"; it has {sorted(node)}")
        )


def _what_would_work(cfg: Config, key: str, known: frozenset[str]) -> str:
    """The key that the user may have meant, as the end of a message."""
    parts, live = key.split("."), RUN_KEYS & set(cfg)
    if parts[0] in _SOURCES:
        place = f"train_dataloader.dataset.datasets.{_SOURCES[parts[0]]}"
        return f"what works is {'.'.join([place, *parts[1:]])}"
    dotted = [
        path for first in sorted(live) for path in _dotted_keys(cfg[first], first)
    ]
    for start in range(len(parts)):
        ending = "." + ".".join(parts[start:])
        places = [path for path in dotted if path.endswith(ending)]
        if places and (len(parts) - start > 1 or len(places) == 1):
            return f"what works is {min(places, key=len)}"
    near = difflib.get_close_matches(key, [*known, *RUN_KEYS], n=1)
    if near:
        return f"did you mean {near[0]}?"
    names = ", ".join(sorted(known)) or "none"
    return (
        f"the parameters of this config are {names}; other keys begin with one of "
        f"{', '.join(sorted(live))}"
    )


def _dotted_keys(node: Any, prefix: str) -> Iterator[str]:
    if isinstance(node, Mapping):
        for key, value in node.items():
            yield f"{prefix}.{key}"
            yield from _dotted_keys(value, f"{prefix}.{key}")
    elif isinstance(node, (list, tuple)):
        for number, value in enumerate(node):
            yield from _dotted_keys(value, f"{prefix}.{number}")
