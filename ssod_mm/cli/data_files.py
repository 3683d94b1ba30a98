"""Check that the files a config names exist, and say which command makes them."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict

from ssod_mm.errors import UserError
from ssod_mm.weights import check_weights

_PARTS = ("dataloader", "evaluator")
_OWN_DATA = re.compile(r"annotations/(semi/)?instances_(train|val)\.[^/]*json$")
_DATA_KEYS = {
    *(f"{stage}_{part}" for stage in ("train", "val", "test") for part in _PARTS),
    *("custom_hooks", "data_root", "default_hooks", "hidden_ann_file"),
}
_SPLIT_FILE = re.compile(r"(.+)\.(\d+)@([\d.]+)(?:-unlabeled|-hidden)?\.json")


@dataclass(frozen=True)
class NamedPath:
    """A file or folder that a config names.

    Attributes:
        key: Dotted config key.
        path: The path, with the data root.
        root: The data root, or "".
        is_folder: Whether it must be a folder.
    """

    key: str
    path: str
    root: str
    is_folder: bool

    def exists(self) -> bool:
        """Whether it is there; a URL counts as there."""
        if "://" in self.path:
            return True
        path = Path(self.path)
        return path.is_dir() if self.is_folder else path.is_file()


def use_converted_data(cfg: Config) -> None:
    """Let data sets of YOLO, VOC or other folders read the converted files.

    A data root is replaced everywhere where the layout of own data is asked of it
    (``annotations/instances_train...json``), it does not have that layout, and is in
    one of the forms of ``ssod_mm.formats``.

    Args:
        cfg: a config whose placeholders are filled in; it is changed.

    Raises:
        UserError: a file of the folder is wrong.
    """
    from ssod_mm.formats.convert import coco_folder_or_none

    roots = {
        named.root
        for named in _all_paths(cfg, ("train", "val", "test"))
        if named.root and "://" not in named.root and _OWN_DATA.search(named.path)
    }
    for root in sorted(roots):
        folder = coco_folder_or_none(root)
        if folder is not None:
            for key in _DATA_KEYS & set(cfg):
                cfg[key] = _moved(cfg[key], root.rstrip("/"), str(folder))


def _moved(node: Any, old: str, new: str) -> Any:
    """A config part with every path in one folder moved to another one."""
    if isinstance(node, str):
        inside = node == old or node.startswith(f"{old}/")
        return new + node[len(old) :] if inside else node
    if isinstance(node, Mapping):
        moved = {key: _moved(value, old, new) for key, value in node.items()}
        return ConfigDict(moved)
    if isinstance(node, (list, tuple)):
        return type(node)(_moved(value, old, new) for value in node)
    return node


def check_data_files(cfg: Config, stages: tuple[str, ...]) -> None:
    """Check the annotation files, image folders and weights that a config names.

    Args:
        cfg: A config whose placeholders are filled in.
        stages: Any of "train", "val", "test".

    Raises:
        FileNotFoundError: the first that is missing, with its config key and the
            command that makes it.
    """
    for named in _all_paths(cfg, stages):
        if not named.exists():
            kind = "folder" if named.is_folder else "file"
            raise FileNotFoundError(
                f"there is no {kind} {named.path} ({named.key}); {way_out(named)}"
            )
    if "train" in stages:
        for key, weights in named_weights(cfg.get("model") or {}, "model"):
            check_weights(weights, key)


def check_start(cfg: Config) -> None:
    """Check that the checkpoint is there that a training begins from.

    Raises:
        FileNotFoundError: it is not.
    """
    start = cfg.get("load_from")
    if start is not None and "://" not in str(start) and not Path(start).is_file():
        raise FileNotFoundError(
            f"there is no checkpoint {start} (load_from, continue_from, --resume); "
            "tools/train_phases.py trains a teacher first"
        )


def named_weights(node: Any, key: str) -> Iterator[tuple[str, str]]:
    """Files, names and URLs of weights that the parts of a model begin with."""
    if isinstance(node, Mapping):
        weights = node.get("checkpoint")
        if node.get("type") == "Pretrained" and isinstance(weights, str):
            yield f"{key}.checkpoint", weights
        for name, part in node.items():
            yield from named_weights(part, f"{key}.{name}")
    elif isinstance(node, (list, tuple)):
        for number, part in enumerate(node):
            yield from named_weights(part, f"{key}.{number}")


def check_class_counts(cfg: Config) -> None:
    """Compare ``num_classes`` of the heads with the categories of the training json.

    Args:
        cfg: A config whose placeholders are filled in and whose files exist.

    Raises:
        ValueError: they differ; says the way out.
    """
    named = labelled_ann_file(cfg)
    if named is None:
        return
    path, source = named
    try:
        categories = json.loads(Path(path).read_bytes())["categories"]
    except (OSError, ValueError, KeyError, TypeError):
        return  # training names what is wrong with the file
    classes = (source.get("metainfo") or {}).get("classes") or categories
    for key, number in _class_numbers(cfg.get("model") or {}, "model"):
        if number != len(classes):
            raise UserError(
                f"{key} is {number}, but {path} has {len(classes)} classes; set "
                f"--cfg-options num_classes={len(classes)}, or {key}"
            )


def labelled_ann_file(cfg: Config) -> tuple[str, Mapping] | None:
    """Annotation file of the labelled training images, and their data set's config.

    Args:
        cfg: A config whose placeholders are filled in.

    Returns:
        None where the training data names no annotation file.
    """
    dataset = (cfg.get("train_dataloader") or {}).get("dataset") or {}
    source = _first_labelled(dataset)
    if source is None:
        return None
    return _join(source.get("data_root") or "", source["ann_file"]), source


def _first_labelled(dataset: Any) -> Mapping | None:
    """The first data set that names an annotation file."""
    if not isinstance(dataset, Mapping):
        return None
    if dataset.get("ann_file"):
        return dataset
    parts = [dataset.get("dataset"), *(dataset.get("datasets") or [])]
    return next((s for part in parts if (s := _first_labelled(part))), None)


def _class_numbers(node: Any, key: str) -> Iterator[tuple[str, int]]:
    """``num_classes`` of all heads, those of an RPN excepted."""
    if isinstance(node, Mapping):
        if isinstance(node.get("num_classes"), int):
            yield f"{key}.num_classes", node["num_classes"]
        for name, part in node.items():
            if name != "rpn_head":
                yield from _class_numbers(part, f"{key}.{name}")
    elif isinstance(node, (list, tuple)):
        for number, part in enumerate(node):
            yield from _class_numbers(part, f"{key}.{number}")


def _all_paths(cfg: Config, stages: tuple[str, ...]) -> Iterator[NamedPath]:
    for stage in stages:
        loader = cfg.get(f"{stage}_dataloader") or {}
        yield from named_paths(loader.get("dataset"), f"{stage}_dataloader.dataset")
        evaluators = cfg.get(f"{stage}_evaluator") or []
        several = isinstance(evaluators, (list, tuple))
        for number, evaluator in enumerate(evaluators if several else [evaluators]):
            key = f"{stage}_evaluator" + (f".{number}" if several else "")
            if evaluator.get("ann_file"):
                yield NamedPath(f"{key}.ann_file", evaluator["ann_file"], "", False)


def named_paths(dataset: Any, key: str) -> Iterator[NamedPath]:
    """Every path that a dataset config names, the data root first.

    Args:
        dataset: A dataset config, possibly of several datasets or wrapped.
        key: Its dotted config key.
    """
    if not isinstance(dataset, Mapping):
        return
    if "dataset" in dataset:
        yield from named_paths(dataset["dataset"], f"{key}.dataset")
    for number, part in enumerate(dataset.get("datasets") or []):
        yield from named_paths(part, f"{key}.datasets.{number}")
    root = dataset.get("data_root") or ""
    if root:
        yield NamedPath(f"{key}.data_root", root, root, True)
    ann_file = dataset.get("ann_file")
    if ann_file:
        yield NamedPath(f"{key}.ann_file", _join(root, ann_file), root, False)
    for name, folder in (dataset.get("data_prefix") or {}).items():
        if isinstance(folder, str) and folder:
            path = _join(root, folder)
            yield NamedPath(f"{key}.data_prefix.{name}", path, root, True)


def _join(root: str, path: str) -> str:
    """As the datasets do: a relative path lies below the data root."""
    if "://" in path or not root:
        return path
    return f"{root.rstrip('/')}/{path}" if "://" in root else str(Path(root, path))


def way_out(missing: NamedPath) -> str:
    """The command that makes a missing path, as far as its name tells."""
    split = _SPLIT_FILE.fullmatch(Path(missing.path).name)
    if split:
        stem, fold, percent = split.groups()
        folder = Path(missing.path).parent
        usual = folder.name == "semi"
        source = (folder.parent if usual else folder) / f"{stem}.json"
        out = "" if usual else f" --out {folder}"
        return (
            f"make it with: python tools/make_splits.py --ann {source}{out} "
            f"--percent {percent} --fold {fold}"
        )
    root = missing.root or missing.path
    lowered = root.lower()
    if "shapes" in lowered:
        return f"make it with: python tools/make_shapes.py --out {root}"
    for word, tool in (("voc", "prepare_voc.py"), ("coco", "prepare_coco.py")):
        if word in Path(lowered).name:
            return (
                f"check and complete the folder with: python tools/{tool} --root {root}"
            )
    if missing.path == missing.root:
        return "set yours with: --cfg-options data_root=FOLDER"
    return f"correct it with: --cfg-options {missing.key}=..."
