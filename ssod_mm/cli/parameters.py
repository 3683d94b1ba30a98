"""Parameters of a config: what follows from a few keys is filled in here.

A config says each of these things once, at its top::

    data_root, coco_root      folders of the data: "{data_root}" in any string
    year                      of COCO, in the names of its files: "{year}"
    fold, percent, seed       the label split and the run: "{fold}", "{percent}"
    num_classes               of every head; None: as many as the training json has
    max_iters                 length; a dict gives it by percent, {1: 6000, 10: 60000}
    lr_steps                  shares of the length after which the rate falls
    pretrained                weights of the backbone; None trains it from the start
    continue_from             checkpoint of a first phase; ``second_phase`` then holds
    views                     what is drawn of an image, see :mod:`ssod_mm.cli.views`
    sizes                     "proposed" fits ``views.scale`` and anchors to the boxes,
                              within ``max_pixels``, see :mod:`ssod_mm.formats.sizes`

So a config that inherits another one, a row of a sweep and ``--cfg-options`` change
them in one line, and all that depends on them follows. The keys that are of no use
afterwards, and variables of the config files, are not in the complete config.
"""

from __future__ import annotations

import copy
import json
import logging
import os
import re
from collections.abc import Callable, Collection, Iterator, Mapping
from pathlib import Path
from typing import Any

from mmengine.config import Config, ConfigDict
from mmengine.logging import print_log

from ssod_mm.cli.data_files import labelled_ann_file, use_converted_data
from ssod_mm.cli.data_sizes import set_sizes
from ssod_mm.cli.views import view_pipelines
from ssod_mm.errors import UserError
from ssod_mm.settings import number_rule

DOCUMENTED_VARIABLES = ("DATA_ROOT", "COCO_ROOT", "NUM_CLASSES", "PRETRAINED")
"""Environment variables that may set a parameter; no other one changes a config."""

PARAMETERS = frozenset(
    {
        *("coco_root", "continue_from", "data_root", "fold", "lr_steps", "max_iters"),
        *("max_pixels", "num_classes", "percent", "pretrained", "second_phase"),
        *("seed", "sizes", "views", "year"),
    }
)
"""Keys that are used up here, but for the data root, the split and the seed."""

RUN_KEYS = frozenset(
    {
        *("allow_partial_load", "auto_scale_lr", "custom_hooks", "custom_imports"),
        *("data_preprocessor", "data_root", "default_hooks", "default_scope"),
        *("env_cfg", "experiment_name", "find_unused_parameters", "fold"),
        *("hidden_ann_file", "launcher", "load_from", "log_level", "log_processor"),
        *("model", "model_wrapper_cfg", "optim_wrapper", "param_scheduler", "percent"),
        *("randomness", "resume", "seed", "teacher_config", "teacher_options"),
        *("teacher_seeds", "test_cfg", "test_dataloader", "test_evaluator"),
        *("train_cfg", "train_dataloader", "user", "val_cfg", "val_dataloader"),
        *("val_evaluator", "visualizer", "work_dir"),
    }
)
"""Keys of a complete config: what the runner or this package reads.

``user`` is for the code of users, who may keep there what they like.
"""

_PLACEHOLDER = re.compile(r"\{([A-Za-z_]\w*)\}")
_SHARES = (
    ("train_cfg", "val_interval"),
    ("default_hooks", "checkpoint", "interval"),
    ("model", "semi_train_cfg", "burn_in"),
)
"""Numbers of iterations that may be given as a share of the length, such as 1 / 4."""
_COUNT = number_rule("whole number", at_least=1)
_HOOKS_OF_MMENGINE = (
    *("checkpoint", "logger", "param_scheduler", "runtime_info", "sampler_seed"),
    "timer",
)


def read_environment(cfg: Config, given: Mapping[str, Any]) -> None:
    """Let documented variables of the user's environment set parameters, and say so.

    A config that a run has saved is complete already: nothing changes it.

    Args:
        cfg: as read; it is changed.
        given: the overrides, which have the last word.
    """
    for variable in DOCUMENTED_VARIABLES:
        name, value = variable.lower(), os.environ.get(variable)
        if value and name in cfg and name not in given and _is_open(cfg, name):
            cfg[name] = int(value) if value.isdigit() else value
            print_log(f"{name}={value}: from {variable} in the environment")


def _is_open(cfg: Config, name: str) -> bool:
    """Whether something in the config still waits for a parameter."""
    return name == "num_classes" or f"{{{name}}}" in str(cfg.to_dict())


def fill_parameters(cfg: Config, given: Collection[str] = ()) -> None:
    """Fill in all that follows from the parameters; the config is changed.

    Args:
        cfg: with all overrides.
        given: dotted keys of the overrides, which have the last word.

    Raises:
        ValueError: a parameter out of its range; names it.
    """
    if cfg.filename:
        _keep(cfg, RUN_KEYS | PARAMETERS)
    _take_up_first_phase(cfg, given)
    _set_length(cfg)
    _use_validation_for_test(cfg)
    _share_the_preprocessor(cfg)
    _complete_hooks(cfg)
    _train_from_the_start(cfg)
    _fill_placeholders(cfg)
    use_converted_data(cfg)
    set_sizes(cfg)
    _set_views(cfg)
    _set_num_classes(cfg)
    if cfg.filename:
        _keep(cfg, RUN_KEYS)


def _keep(cfg: Config, keys: frozenset[str]) -> None:
    for key in [key for key in cfg if key not in keys]:
        cfg.pop(key)


def _take_up_first_phase(cfg: Config, given: Collection[str]) -> None:
    """With ``continue_from`` start there, without burn-in, as ``second_phase`` says."""
    start = cfg.get("continue_from")
    if start is None:
        return
    cfg.load_from = start
    changes = dict(cfg.get("second_phase") or {})
    if "burn_in" in ((cfg.get("model") or {}).get("semi_train_cfg") or {}):
        changes["model.semi_train_cfg.burn_in"] = 0
    kept = tuple(f"{key}." for key in given)
    for key in [key for key in changes if f"{key}.".startswith(kept)]:
        del changes[key]
    cfg.merge_from_dict(changes)


def _set_length(cfg: Config) -> None:
    """Length, rate steps and intervals from ``max_iters`` and ``lr_steps``."""
    length = cfg.get("max_iters")
    loop = cfg.get("train_cfg")
    if length is None or loop is None:
        return
    if isinstance(length, Mapping):
        length = _by_percent(length, cfg.get("percent"))
    if not _COUNT.allows(length):
        raise UserError(f"max_iters must be {_COUNT.wanted}, not {length!r}")
    if "max_iters" in loop and loop.max_iters != length:
        raise UserError(
            f"train_cfg.max_iters={loop.max_iters}, but max_iters={length}: set "
            "max_iters alone, which the schedule follows"
        )
    loop.max_iters = length
    steps = cfg.get("lr_steps")
    schedulers = cfg.get("param_scheduler") or []
    for scheduler in [schedulers] if isinstance(schedulers, Mapping) else schedulers:
        if scheduler.get("type") == "MultiStepLR" and "milestones" not in scheduler:
            scheduler.milestones = _milestones(steps, length)
    for path in _SHARES:
        node: Any = cfg
        for key in path[:-1]:
            node = node.get(key) or {}
        share = node.get(path[-1])
        if isinstance(share, float) and 0 < share < 1:
            node[path[-1]] = max(1, _iterations(share, length))


def _by_percent(lengths: Mapping[Any, Any], percent: Any) -> Any:
    by_number = {float(key): value for key, value in lengths.items()}
    if percent is None or float(percent) not in by_number:
        known = ", ".join(f"{key:g}" for key in by_number)
        raise UserError(
            f"max_iters is given for {known} percent of the labels, not for {percent}; "
            "say it with --cfg-options max_iters=..."
        )
    return by_number[float(percent)]


def _milestones(steps: Any, length: int) -> list[int]:
    shares = steps if isinstance(steps, (list, tuple)) else None
    if shares is None or any(
        isinstance(share, bool)
        or not isinstance(share, (int, float))
        or not 0 < share < 1
        for share in shares
    ):
        raise UserError(
            f"lr_steps={steps!r} must list shares of the length, each above 0 and "
            "below 1, such as [2 / 3, 8 / 9]"
        )
    return [_iterations(share, length) for share in shares]


def _iterations(share: float, length: int) -> int:
    return int(share * length + 1e-6)


def _set_views(cfg: Config) -> None:
    """Transforms in place of ``pipeline="labelled"``, ``"unlabelled"``, ``"test"``."""
    loaders = [cfg.get(f"{stage}_dataloader") for stage in ("train", "val", "test")]
    waiting = [
        node for node in nested_dicts(loaders) if isinstance(node.get("pipeline"), str)
    ]
    if not waiting:
        return
    if cfg.get("views") is None:
        raise UserError(
            f"views is missing: pipeline={waiting[0]['pipeline']!r} needs it"
        )
    pipelines = view_pipelines(cfg.views.to_dict())
    if "detector" not in (cfg.get("model") or {}):
        pipelines["labelled"] = pipelines["supervised"]
    for node in waiting:
        if node["pipeline"] not in pipelines:
            raise UserError(
                f"pipeline={node['pipeline']!r} is none of {sorted(pipelines)}"
            )
        node["pipeline"] = ConfigDict(a=pipelines[node["pipeline"]]).a


def _use_validation_for_test(cfg: Config) -> None:
    """Test as validation does, but for what the config says of the test."""
    for part in ("dataloader", "evaluator"):
        validation, test = cfg.get(f"val_{part}"), cfg.get(f"test_{part}")
        if validation is None or not _is_incomplete(test, part):
            continue
        both = ConfigDict(test=copy.deepcopy(validation))
        if test is not None:
            change = {"test": test.to_dict()}
            both = ConfigDict(Config._merge_a_into_b(change, both.to_dict()))
        cfg[f"test_{part}"] = both.test


def _is_incomplete(test: Any, part: str) -> bool:
    """Whether a test's loader or metric needs what that of the validation says."""
    if part == "evaluator":
        return test is None or (isinstance(test, Mapping) and "type" not in test)
    return test is None or "type" not in (test.get("dataset") or {})


def _share_the_preprocessor(cfg: Config) -> None:
    """A teacher-student pair normalises images as its detector does."""
    model = cfg.get("model") or {}
    wrapper, detector = model.get("data_preprocessor"), model.get("detector")
    if detector and wrapper and "data_preprocessor" not in wrapper:
        wrapper.data_preprocessor = copy.deepcopy(detector.data_preprocessor)


def _complete_hooks(cfg: Config) -> None:
    """Hooks set to None go; those on pseudo labels read ``hidden_ann_file``.

    Without one nothing judges pseudo labels.
    """
    hooks, truth = cfg.get("default_hooks") or {}, cfg.get("hidden_ann_file")
    for name in [name for name, hook in hooks.items() if hook is None]:
        if name not in _HOOKS_OF_MMENGINE:  # None switches those off there
            hooks.pop(name)
    for name in [name for name, hook in hooks.items() if isinstance(hook, Mapping)]:
        kind = hooks[name].get("type")
        if kind not in ("PseudoLabelQualityHook", "DrawPseudoLabelsHook"):
            continue
        if truth is not None:
            hooks[name].setdefault("ann_file", truth)
        elif kind == "PseudoLabelQualityHook" and "ann_file" not in hooks[name]:
            hooks.pop(name)


def _train_from_the_start(cfg: Config) -> None:
    """Without ``pretrained`` no weights are loaded and nothing is frozen."""
    if cfg.get("pretrained") not in (None, "none", "None"):
        return
    for part in nested_dicts(cfg.get("model") or {}):
        weights = part.get("init_cfg")
        if isinstance(weights, Mapping) and weights.get("checkpoint") == "{pretrained}":
            part["init_cfg"] = None
            part["frozen_stages"] = -1
            part["norm_eval"] = False
            if "norm_cfg" in part:
                part["norm_cfg"]["requires_grad"] = True


def _fill_placeholders(cfg: Config) -> None:
    """Fill ``{fold}``, ``{data_root}`` and the like in every string, keys excepted."""
    names = (
        *("fold", "percent", "seed"),
        *("data_root", "coco_root", "year", "pretrained"),
    )
    values = {
        key: f"{cfg[key]:g}" if key == "percent" else str(cfg[key])
        for key in names
        if cfg.get(key) is not None
    }
    unknown: dict[str, str] = {}

    def fill(text: str) -> str:
        for name in _PLACEHOLDER.findall(text):
            if name not in values:
                unknown[name] = text
        return _PLACEHOLDER.sub(lambda m: values.get(m[1], m[0]), text)

    for key in list(cfg.keys()):
        cfg[key] = _map_strings(cfg[key], fill)
    for name, text in unknown.items():
        print_log(
            f'nothing fills {{{name}}} in "{text}"; known: '
            f"{', '.join(f'{{{key}}}' for key in values) or 'none, the config sets '}"
            f"{'' if values else 'no fold, percent or seed'}",
            logger="current",
            level=logging.WARNING,
        )


def _map_strings(node: Any, fill: Callable[[str], str]) -> Any:
    """``node`` with ``fill`` applied to every string in nested dicts and lists."""
    if isinstance(node, str):
        return fill(node)
    if isinstance(node, dict):
        filled = {key: _map_strings(value, fill) for key, value in node.items()}
        return ConfigDict(filled)
    if isinstance(node, (list, tuple)):
        return type(node)(_map_strings(value, fill) for value in node)
    return node


def _set_num_classes(cfg: Config) -> None:
    """``num_classes`` of every head: as given, or as many as the training json has."""
    if "num_classes" not in cfg:
        return
    number = cfg.num_classes
    if number is None:
        number = _classes_of_json(cfg)
    elif not _COUNT.allows(number):
        raise UserError(f"num_classes must be {_COUNT.wanted}, not {number!r}")
    if number is not None:
        for part in nested_dicts(cfg.get("model") or {}):
            if "num_classes" in part:
                part["num_classes"] = number


def _classes_of_json(cfg: Config) -> int | None:
    """Classes of the labelled data; None where the json cannot tell."""
    named = labelled_ann_file(cfg)
    if named is None:
        return None
    path, source = named
    classes = (source.get("metainfo") or {}).get("classes")
    if classes is not None:
        return len(classes)
    try:
        return len(json.loads(Path(path).read_bytes())["categories"])
    except (OSError, ValueError, KeyError, TypeError):
        return None  # the check of the files, or training, names what is wrong


def nested_dicts(node: Any) -> Iterator[dict]:
    """Every dict in nested dicts and lists, outer ones first."""
    if isinstance(node, dict):
        yield node
    if isinstance(node, (dict, list, tuple)):
        for child in list(node.values()) if isinstance(node, dict) else node:
            yield from nested_dicts(child)
