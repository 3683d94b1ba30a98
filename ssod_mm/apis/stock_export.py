"""Teacher or student as a config and a checkpoint for stock mmdet."""

from __future__ import annotations

import copy
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import torch
from mmdet.registry import DATASETS, MODELS, TASK_UTILS, TRANSFORMS
from mmdet.utils import get_test_pipeline_cfg
from mmengine.config import Config, ConfigDict
from mmengine.registry import Registry

from ssod_mm.apis.inference import (
    evaluated_model,
    load_detector,
    plain_detector_cfg,
)
from ssod_mm.checkpoint_files import write_safetensors
from ssod_mm.errors import UserError
from ssod_mm.version import __version__

STOCK_TRANSFORMS = {
    "LoadImage": ("LoadImageFromFile", ("on_error", "max_skips_in_a_row"))
}
"""Our transform -> the stock one it extends, and the keys that only ours has."""

STOCK_ASSIGNERS = {
    "IgnoringMaxIoUAssigner": "MaxIoUAssigner",
    "IgnoringATSSAssigner": "ATSSAssigner",
}
"""Our assigner -> the stock one that it extends; they matter in training only."""

GAUSSIAN_KEYS = (
    "quality_on",
    "kl_weight",
    "loss_norm",
    "log_var_limit",
    "score_factor",
)
VARIANCE_WEIGHTS = ".fc_reg.log_var."
"""What a Gaussian box head has beyond the stock head that finds the same boxes."""

DATASET_KEYS = ("data_root", "ann_file", "data_prefix", "backend_args")


def own_types(node: Any, registries: Sequence[Registry]) -> Iterator[str]:
    """Types in a config that this package registered.

    Args:
        node: nested dicts and lists.
        registries: where the types are looked up.

    Yields:
        Their names, in the order of appearance.
    """
    if isinstance(node, Mapping):
        name = node.get("type")
        types = [registry.get(name) for registry in registries if isinstance(name, str)]
        if any(kind and kind.__module__.startswith("ssod_mm.") for kind in types):
            yield name
        node = list(node.values())
    if isinstance(node, (list, tuple)):
        for value in node:
            yield from own_types(value, registries)


def with_stock_assigners(node: Any) -> Any:
    """A model config whose assigners are stock ones.

    Args:
        node: nested dicts and lists; not changed.
    """
    if isinstance(node, Mapping):
        kept = {key: with_stock_assigners(value) for key, value in node.items()}
        if isinstance(kept.get("type"), str):
            kept["type"] = STOCK_ASSIGNERS.get(kept["type"], kept["type"])
        return ConfigDict(kept)
    if isinstance(node, (list, tuple)):
        return type(node)(with_stock_assigners(value) for value in node)
    return node


def with_stock_heads(node: Any) -> Any:
    """A model config with stock heads where these find the same boxes.

    A Gaussian box head that ranks by the class probability finds the same boxes without
    its variances. One that ranks by localisation quality needs them and stays.

    Args:
        node: nested dicts and lists; not changed.
    """
    if isinstance(node, Mapping):
        kept = {key: with_stock_heads(value) for key, value in node.items()}
        ranks_by_p = kept.get("score_factor", "p") == "p"
        if kept.get("type") == "GaussianBBoxHead" and ranks_by_p:
            kept = {key: kept[key] for key in kept if key not in GAUSSIAN_KEYS}
            kept["type"] = "Shared2FCBBoxHead"
        if kept.get("type") == "LocQualityGFLHead":
            kept["type"] = "GFLHead"
        return ConfigDict(kept)
    if isinstance(node, (list, tuple)):
        return type(node)(with_stock_heads(value) for value in node)
    return node


def stock_pipeline(pipeline: Sequence[Mapping]) -> list[dict]:
    """A test pipeline in transforms of mmdet and mmcv alone.

    Raises:
        ValueError: a transform of this package has no stock counterpart; names it.
    """
    steps = []
    for step in pipeline:
        step = dict(copy.deepcopy(step))
        if step["type"] in STOCK_TRANSFORMS:
            step["type"], extra = STOCK_TRANSFORMS[step["type"]]
            step = {key: value for key, value in step.items() if key not in extra}
        steps.append(step)
    strange = list(own_types(steps, [TRANSFORMS]))
    if strange:
        raise UserError(
            f"test_dataloader.dataset.pipeline uses {', '.join(strange)}, which stock "
            "mmdet does not have; write the test pipeline with stock transforms"
        )
    return steps


def stock_config(cfg: Config, classes: Sequence[str], keep_custom: bool) -> Config:
    """A config of the plain detector that needs nothing of this package.

    Args:
        cfg: the config of the training.
        classes: class names, written into the data sets' ``metainfo``.
        keep_custom: for a detector with modules of this package: import them by
            ``custom_imports`` instead of refusing.

    Returns:
        Model, test data, test evaluator and test loop.

    Raises:
        ValueError: the detector or the test pipeline has parts that stock mmdet does
            not know.
    """
    model = with_stock_assigners(plain_detector_cfg(cfg))
    if not keep_custom:
        model = with_stock_heads(model)
    head: dict[str, Any] = {"default_scope": "mmdet"}
    strange = list(dict.fromkeys(own_types(model, [MODELS, TASK_UTILS])))
    if strange and not keep_custom:
        raise UserError(
            f"the detector uses {', '.join(strange)}, which stock mmdet does not have; "
            "with --keep-custom the exported config imports ssod_mm for them"
        )
    if strange:
        head["custom_imports"] = {
            "imports": ["ssod_mm.models"],
            "allow_failed_imports": False,
        }
    loader = copy.deepcopy(cfg.test_dataloader)
    dataset = loader.dataset
    kind = DATASETS.get(dataset.type)
    is_ours = kind is not None and kind.__module__.startswith("ssod_mm.")
    loader.dataset = ConfigDict(
        type="CocoDataset" if is_ours else dataset.type,
        **{key: dataset[key] for key in DATASET_KEYS if key in dataset},
        metainfo={"classes": tuple(classes)},
        test_mode=True,
        pipeline=stock_pipeline(get_test_pipeline_cfg(cfg)),
    )
    ann_file = Path(dataset.get("data_root") or "", dataset.get("ann_file") or "")
    return Config(
        {
            **head,
            "model": model,
            "test_dataloader": loader,
            "test_evaluator": {
                "type": "CocoMetric",
                "ann_file": str(ann_file),
                "metric": "bbox",
            },
            "test_cfg": {"type": "TestLoop"},
        }
    )


def export_detector(
    cfg: Config,
    checkpoint: str | Path,
    which: str | None,
    out: str | Path,
    keep_custom: bool = False,
) -> tuple[Path, Path]:
    """Write ``<config>_<which>.py`` and ``.pth`` for ``mmdet.apis.init_detector``.

    The weights are written as ``.safetensors`` too, a form that cannot hold code.

    Args:
        cfg: the config of the training, resolved.
        checkpoint: its checkpoint.
        which: "teacher" or "student"; None for the one that the config evaluates.
        out: folder to write to; made if absent.
        keep_custom: see :func:`stock_config`.

    Returns:
        Paths of the config and of the checkpoint.

    Raises:
        FileNotFoundError: no such checkpoint.
        ValueError: checkpoint and config do not fit, or stock mmdet could not use the
            result.
    """
    if cfg.get("test_dataloader") is None:
        raise UserError(f"{cfg.filename} has no test_dataloader")
    which = which or evaluated_model(cfg)
    model = load_detector(cfg, checkpoint, which, "cpu")
    classes = model.dataset_meta["classes"]
    exported = stock_config(cfg, classes, keep_custom)
    out = Path(out)
    out.mkdir(parents=True, exist_ok=True)
    stem = f"{Path(cfg.filename).stem if cfg.filename else 'detector'}_{which}"
    config_path, weights_path = out / f"{stem}.py", out / f"{stem}.pth"
    exported.dump(str(config_path))
    meta = {
        "dataset_meta": {"classes": classes},
        "exported_by": f"ssod_mm {__version__}",
        "exported_from": Path(checkpoint).name,
        "which": which,
    }
    state = model.state_dict()
    if "GaussianBBoxHead" not in own_types(exported.model, [MODELS]):
        state = {key: state[key] for key in state if VARIANCE_WEIGHTS not in key}
    torch.save({"meta": meta, "state_dict": state}, weights_path)
    write_safetensors(weights_path.with_suffix(".safetensors"), state, meta)
    return config_path, weights_path
