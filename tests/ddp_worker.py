"""One process of the gradient test, in a module of its own for spawn to import."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
import torch.distributed
from mmdet.models.task_modules.samplers import BaseSampler
from mmdet.registry import DATASETS, MODELS, TASK_UTILS
from mmdet.utils import register_all_modules
from mmengine.config import ConfigDict
from mmengine.dataset import pseudo_collate
from mmengine.model import MMDistributedDataParallel
from torch import Tensor

import ssod_mm.data
import ssod_mm.models  # noqa: F401  registers the detectors
from ssod_mm.data.samplers import RatioSampler


@TASK_UTILS.register_module()
class FirstSampler(BaseSampler):
    """Takes the first candidates in place of random ones, always ``num`` per image.

    What a loss is divided by is then the same for every image.
    """

    def _sample_pos(self, assign_result, num_expected, **kwargs):
        return torch.nonzero(assign_result.gt_inds > 0)[:num_expected, 0]

    def _sample_neg(self, assign_result, num_expected, **kwargs):
        return torch.nonzero(assign_result.gt_inds == 0)[:num_expected, 0]


@TASK_UTILS.register_module()
class FirstAnchorSampler(FirstSampler):
    """The same for anchor heads.

    They count at least one positive anchor of an image: one without any takes one
    negative anchor less.
    """

    def _sample_neg(self, assign_result, num_expected, **kwargs):
        if not (assign_result.gt_inds > 0).any():
            num_expected -= 1
        return super()._sample_neg(assign_result, num_expected, **kwargs)


def use_first_sampler(detector: dict[str, Any]) -> None:
    """Let a tiny detector's config sample without chance."""
    kinds = {"rpn": "FirstAnchorSampler", "rcnn": "FirstSampler"}
    for stage, kind in kinds.items():
        detector["train_cfg"][stage]["sampler"]["type"] = kind


def gradients(
    cfg: dict[str, Any], batch_size: int, iteration: int
) -> dict[str, Tensor]:
    """Gradients of one training step, averaged over the processes if there are some.

    Args:
        cfg: "model", "dataset" and "source_ratio".
        batch_size: Images of this process.
        iteration: Whose batch to take.
    """
    register_all_modules(init_default_scope=True)
    dataset = DATASETS.build(cfg["dataset"])
    dataset.full_init()
    sampler = RatioSampler(dataset, batch_size, cfg["source_ratio"], seed=0)
    torch.manual_seed(0)
    model = MODELS.build(ConfigDict(cfg["model"]))
    model.init_weights()
    model.train()
    wrapped = model
    if torch.distributed.is_initialized():
        wrapped = MMDistributedDataParallel(model, broadcast_buffers=False)
    if "only_image" in cfg:
        label_one_image(model, cfg["only_image"])
    batch = pseudo_collate([dataset[index] for index in sampler.batch(iteration)])
    data = model.data_preprocessor(batch, training=True)
    loss, _ = model.parse_losses(wrapped(**data, mode="loss"))
    loss.backward()
    return {
        name: parameter.grad
        for name, parameter in model.named_parameters()
        if parameter.requires_grad
    }


def first_unlabelled(cfg: dict[str, Any], batch_size: int, iteration: int) -> Any:
    """``img_id`` of the first unlabelled image in a batch of one process."""
    register_all_modules(init_default_scope=True)
    dataset = DATASETS.build(cfg["dataset"])
    dataset.full_init()
    sampler = RatioSampler(dataset, batch_size, cfg["source_ratio"], seed=0)
    samples = [dataset[index]["data_samples"] for index in sampler.batch(iteration)]
    weak = [branches.get("unsup_teacher") for branches in samples]
    return next(sample.img_id for sample in weak if sample is not None)


def label_one_image(model: Any, chosen: Any) -> None:
    """Let the teacher find objects on one image alone."""
    stock = model.teacher_guidance

    def guidance(inputs: Tensor, samples: list) -> Any:
        found = stock(inputs, samples)
        for number, sample in enumerate(samples):
            if sample.img_id != chosen:
                found.instances[number] = found.instances[number][:0]
        return found

    model.teacher_guidance = guidance


def save_gradients_of_rank(
    rank: int, cfgs: dict[str, dict], world_size: int, batch_size: int, folder: str
) -> None:
    """Save each config's gradients to ``<folder>/<name>_<rank>.pth``."""
    torch.set_num_threads(1)
    torch.distributed.init_process_group(
        "gloo",
        init_method=f"file://{folder}/meeting",
        rank=rank,
        world_size=world_size,
    )
    for name, cfg in cfgs.items():
        found = gradients(cfg, batch_size, iteration=1)
        torch.save(found, Path(folder, f"{name}_{rank}.pth"))
    torch.distributed.destroy_process_group()
