"""Heads on anchors, the RPN and one-stage ones, as dense guidance reads them."""

from __future__ import annotations

from collections.abc import Sequence

import torch
from mmdet.models.dense_heads import AnchorHead
from torch import Tensor

Maps = Sequence[Tensor]


def check_anchor_head(head: torch.nn.Module, key: str) -> None:
    """Refuse a head that dense guidance cannot read.

    Args:
        head: RPN or box head of the detector.
        key: config key of its stage's settings, for the message.

    Raises:
        ValueError: no anchors, softmax outputs, or levels of different anchors.
    """
    name = type(head).__name__
    if not isinstance(head, AnchorHead):
        raise ValueError(
            f"{key}: dense guidance matches anchors, but {name} has none; use an "
            f"anchor-based head such as RetinaHead, or set {key}.mode='sparse'."
        )
    if not head.use_sigmoid_cls:
        raise ValueError(
            f"{key}: dense guidance needs sigmoid scores; set loss_cls.use_sigmoid="
            f"True in the {name}, or {key}.mode='sparse'."
        )
    if len(set(head.prior_generator.num_base_priors)) > 1:
        raise ValueError(
            f"{key}: dense guidance needs as many anchors per point on each level of "
            f"{name}, which has {head.prior_generator.num_base_priors}."
        )


def flat_maps(maps: Maps, channels: int) -> Tensor:
    """Outputs of all levels (B, N, channels), float32, in the order of the anchors."""
    return torch.cat(
        [m.permute(0, 2, 3, 1).reshape(m.shape[0], -1, channels) for m in maps], dim=1
    ).float()
