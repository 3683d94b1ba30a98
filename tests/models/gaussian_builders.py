"""Tiny LER/PRC teachers over Gaussian box heads."""

from __future__ import annotations

import torch
from torch import nn

from ssod_mm.models.heads.answers import box_heads
from tests.models.builders import DETECTORS, build_mean_teacher

SWITCHES = [(None, None), ({}, None), (None, {}), ({}, {})]


def with_heads(cfg: dict, **changes) -> dict:
    """A two-stage detector's config with other keys in its box heads."""
    heads = cfg["roi_head"]["bbox_head"]
    for head in heads if isinstance(heads, list) else [heads]:
        head.update(changes)
    return cfg


def gaussian_cfg(detector: str = "faster", **changes) -> dict:
    """A tiny detector with ``GaussianBBoxHead``.

    Args:
        detector: "faster" or "cascade".
        **changes: further keys of the box heads.
    """
    return with_heads(
        DETECTORS[detector](),
        type="GaussianBBoxHead",
        loss_bbox=dict(type="SmoothL1Loss", beta=1.0),
        **changes,
    )


def spread_variances(detector: nn.Module, seed: int = 5) -> None:
    """Give the log variances weights that make them differ from box to box."""
    generator = torch.Generator().manual_seed(seed)
    for head in box_heads(detector):
        weight = head.fc_reg.log_var.weight
        with torch.no_grad():
            weight.copy_(0.3 * torch.randn(weight.shape, generator=generator))


def build_lerprc(
    detector: str | dict = "faster", model: dict | None = None, **settings
):
    """A ``LerPrcTeacher`` whose teacher and student differ and know variances.

    Args:
        detector: "faster" or "cascade" with Gaussian heads, or a detector's config.
        model: further keys of the model, such as ``ler``.
        **settings: keys of ``semi_train_cfg``.
    """
    cfg = gaussian_cfg(detector) if isinstance(detector, str) else detector
    cfg["test_cfg"]["rcnn"]["score_thr"] = 0.01
    built = build_mean_teacher(
        model={"type": "LerPrcTeacher", "detector": cfg, **(model or {})}, **settings
    )
    if isinstance(detector, str):
        spread_variances(built.student)
        spread_variances(built.teacher, seed=6)
    return built


def watch(model):
    """Record what ``roi_loss`` gets and gives."""
    seen = []
    inner = model.roi_loss

    def spy(guidance, samples, candidates):
        losses = inner(guidance, samples, candidates)
        seen.append((guidance, candidates, losses))
        return losses

    model.roi_loss = spy
    return seen
