"""Batches and detectors for measuring a step where no data and no weights are."""

from __future__ import annotations

import copy
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import torch
from mmdet.structures.bbox import HorizontalBoxes
from mmengine.dataset import pseudo_collate
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.utils.data import DataLoader, Dataset

from ssod_mm.data.views import PackView, branch_item

_BOXES = 7
_LOGIT_SPREAD = 3.0


class _Nothing(Dataset):
    """A data set that knows its classes and has one empty item."""

    def __init__(self, num_classes: int) -> None:
        self.metainfo = {"classes": tuple(f"class_{i}" for i in range(num_classes))}

    def __len__(self) -> int:
        return 1

    def __getitem__(self, index: int) -> dict:
        return {}


def synthetic_loader(model: Mapping[str, Any]) -> DataLoader:
    """A data loader for hooks that ask for the classes.

    Args:
        model: config of a semi-supervised detector.
    """
    detector = model["detector"]
    head = detector.get("roi_head", detector).get("bbox_head")
    head = head[0] if isinstance(head, (list, tuple)) else head
    return DataLoader(_Nothing(head["num_classes"]), collate_fn=pseudo_collate)


def synthetic_batches(
    count: int, images: Sequence[int], size: Sequence[int]
) -> list[dict]:
    """Collated batches of noise.

    Args:
        count: how many.
        images: labelled and unlabelled images of a batch.
        size: height and width of every view, in pixels.

    Returns:
        Batches as the data loader gives them; labelled images have seven boxes of
        class 0, strong views are mirrored.
    """
    rng = np.random.default_rng(0)
    batches = []
    for _ in range(count):
        labelled = [{"sup": _view(rng, size, "sup")} for _ in range(images[0])]
        unlabelled = [
            {
                name: _view(rng, size, name)
                for name in ("unsup_teacher", "unsup_student")
            }
            for _ in range(images[1])
        ]
        items = [branch_item(views) for views in labelled + unlabelled]
        batches.append(pseudo_collate(items))
    return batches


def _view(rng: np.random.Generator, size: Sequence[int], branch: str) -> dict:
    """One packed view of an image of that size."""
    height, width = size
    coarse = rng.integers(
        0, 256, (height // 16 + 1, width // 16 + 1, 3), dtype=np.uint8
    )
    image = coarse.repeat(16, 0).repeat(16, 1)[:height, :width].copy()
    mirrored = branch == "unsup_student"
    homography = np.eye(3, dtype=np.float32)
    if mirrored:
        homography[0] = -1, 0, width
    content = dict(
        img=image,
        img_id=0,
        img_path="",
        ori_shape=(height, width),
        scale_factor=(1.0, 1.0),
        flip=mirrored,
        flip_direction="horizontal" if mirrored else None,
        homography_matrix=homography,
    )
    if branch == "sup":
        corner = rng.uniform(0, 0.6, (_BOXES, 2))
        extent = rng.uniform(0.05, 0.4, (_BOXES, 2))
        boxes = np.concatenate([corner, corner + extent], 1) * np.tile(
            [width, height], 2
        )
        content["gt_bboxes"] = HorizontalBoxes(torch.tensor(boxes).float())
        content["gt_bboxes_labels"] = np.zeros(_BOXES, dtype=np.int64)
        content["gt_ignore_flags"] = np.zeros(_BOXES, dtype=bool)
    return PackView().transform(content)


@torch.no_grad()
def calibrate(model: nn.Module, batch: dict, boxes: float) -> float:
    """Let an untrained two-stage teacher give about so many pseudo labels an image.

    Batch norm gets the statistics of the batch, logits a spread like trained ones; one
    anchor in 500 of an RPN with sigmoid stays above one half. The background's logit of
    the box head, or all classes' for a sigmoid, gets a bias found by bisection.
    The student becomes equal to the teacher.

    Args:
        model: semi-supervised detector; its weights are changed.
        batch: a collated batch.
        boxes: pseudo labels an image.

    Returns:
        Pseudo labels an image that there are now.
    """
    model.train()
    teacher = model.teacher.eval()
    data = model.data_preprocessor(batch, True)
    images = data["inputs"]["unsup_teacher"]
    samples = data["data_samples"]["unsup_teacher"]
    norms = [m for m in teacher.backbone.modules() if isinstance(m, _BatchNorm)]
    for norm in norms:
        norm.reset_running_stats()
        norm.momentum = None
        norm.train()
    teacher.backbone(images)
    for norm in norms:
        norm.momentum = 0.1
        norm.eval()
    if not teacher.with_roi_head:
        model.student.load_state_dict(teacher.state_dict())
        return 0.0
    rpn, head = teacher.rpn_head, teacher.roi_head.bbox_head
    maps = teacher.extract_feat(images)
    _spread(rpn.rpn_cls, torch.cat([m.flatten() for m in rpn(maps)[0]]), 2.0)
    if rpn.use_sigmoid_cls:
        logits = torch.cat([m.flatten() for m in rpn(maps)[0]])
        rpn.rpn_cls.bias -= logits.topk(1 + len(logits) // 500).values[-1]
    _spread(rpn.rpn_reg, torch.cat([m.flatten() for m in rpn(maps)[1]]), 0.15)
    seen: list[Tensor] = []
    handle = head.fc_cls.register_forward_hook(lambda *call: seen.append(call[2]))
    _pseudo_labels(model, images, samples)
    handle.remove()
    _spread(head.fc_cls, seen[-1], _LOGIT_SPREAD)
    background = (
        slice(-1, None) if len(head.fc_cls.bias) > head.num_classes else slice(0)
    )
    start = head.fc_cls.bias.clone()
    low, high, best = -30.0, 30.0, (0.0, start)
    for _ in range(12):
        middle = (low + high) / 2
        bias = start + middle
        bias[background] = start[background]
        head.fc_cls.bias.copy_(bias)
        number = _pseudo_labels(model, images, samples)
        if abs(number - boxes) <= abs(best[0] - boxes):
            best = number, bias
        low, high = (middle, high) if number < boxes else (low, middle)
    head.fc_cls.bias.copy_(best[1])
    model.student.load_state_dict(teacher.state_dict())
    return best[0]


def _spread(layer: nn.Module, outputs: Tensor, wanted: float) -> None:
    """Scale a layer so that its outputs have a standard deviation."""
    layer.weight.mul_(wanted / outputs.float().std().clamp(min=1e-6))


def _pseudo_labels(model: nn.Module, images: Tensor, samples: list) -> float:
    """Pseudo labels an image that the student would learn from."""
    if hasattr(model, "select"):
        kept = model.select(model.teacher_guidance(images, samples))
        return kept.num_boxes / len(samples)
    thr = model.semi_train_cfg["cls_pseudo_thr"]
    results = model.teacher.predict(images, copy.deepcopy(samples), rescale=False)
    return sum(int((r.pred_instances.scores >= thr).sum()) for r in results) / len(
        results
    )
