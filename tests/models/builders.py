"""Tiny mean teachers over several detectors, and batches for them."""

from __future__ import annotations

import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import ConfigDict
from mmengine.structures import InstanceData

from tests.helpers import tiny_detector_cfg

NUM_CLASSES = 3


def cascade_cfg() -> dict:
    """The tiny Faster R-CNN with two cascade stages."""
    cfg = tiny_detector_cfg(NUM_CLASSES)
    roi_head = cfg["roi_head"]
    heads = [dict(roi_head["bbox_head"], reg_class_agnostic=True) for _ in range(2)]
    roi_head.update(
        type="CascadeRoIHead",
        num_stages=2,
        stage_loss_weights=[1, 0.5],
        bbox_head=heads,
    )
    cfg["type"] = "CascadeRCNN"
    cfg["train_cfg"]["rcnn"] = [cfg["train_cfg"]["rcnn"]] * 2
    return cfg


def one_stage_cfg(head: str) -> dict:
    """RetinaNet or FCOS on the tiny backbone.

    Args:
        head: "RetinaHead" or "FCOSHead".
    """
    base = tiny_detector_cfg(NUM_CLASSES)
    bbox_head = dict(
        type=head,
        num_classes=NUM_CLASSES,
        in_channels=16,
        feat_channels=16,
        stacked_convs=1,
    )
    train_cfg = dict(allowed_border=-1, pos_weight=-1, debug=False)
    if head == "RetinaHead":
        bbox_head["anchor_generator"] = base["rpn_head"]["anchor_generator"]
        train_cfg["assigner"] = base["train_cfg"]["rcnn"]["assigner"]
        train_cfg["sampler"] = dict(type="PseudoSampler")
    else:
        bbox_head.update(
            strides=[8, 16, 32],
            regress_ranges=((-1, 32), (32, 64), (64, 1e8)),
            norm_cfg=dict(type="GN", num_groups=4),
        )
    nms = dict(type="nms", iou_threshold=0.5)
    return dict(
        type={"RetinaHead": "RetinaNet", "FCOSHead": "FCOS"}[head],
        data_preprocessor=base["data_preprocessor"],
        backbone=base["backbone"],
        neck=base["neck"],
        bbox_head=bbox_head,
        train_cfg=train_cfg,
        test_cfg=dict(
            nms_pre=100, min_bbox_size=0, score_thr=0.001, nms=nms, max_per_img=20
        ),
    )


DETECTORS = {
    "faster": lambda: tiny_detector_cfg(NUM_CLASSES),
    "cascade": cascade_cfg,
    "retina": lambda: one_stage_cfg("RetinaHead"),
    "fcos": lambda: one_stage_cfg("FCOSHead"),
}


def build_mean_teacher(
    detector: str = "faster", seed: int = 0, model: dict | None = None, **settings
):
    """A MeanTeacher in train mode, teacher equal to student.

    Args:
        detector: a key of ``DETECTORS``.
        seed: seed of the weights.
        model: further keys of the model's config, such as ``class_balance``.
        **settings: keys of ``semi_train_cfg``; the score threshold defaults to 0, so
            that an untrained teacher labels.
    """
    from ssod_mm.models import MeanTeacher  # registers

    torch.manual_seed(seed)
    cfg = DETECTORS[detector]()
    if "rcnn" in cfg["test_cfg"]:
        cfg["test_cfg"]["rcnn"]["score_thr"] = 0.01
    defaults = dict(
        type=MeanTeacher.__name__,
        detector=cfg,
        data_preprocessor=dict(
            type="MultiBranchDataPreprocessor",
            data_preprocessor=cfg["data_preprocessor"],
        ),
        semi_train_cfg={"score_thr": 0.0, **settings},
    )
    built = MODELS.build(ConfigDict({**defaults, **(model or {})}))
    built.init_weights()
    built.teacher.load_state_dict(built.student.state_dict())
    return built.train()


def sample(image_id: int, size=(64, 96), num_boxes: int = 2, **meta) -> DetDataSample:
    """A data sample with boxes on a fixed grid.

    Args:
        image_id: id of the image.
        size: height and width of the view.
        num_boxes: number of labelled boxes.
        **meta: more metainfo.
    """
    made = DetDataSample(
        metainfo=dict(
            img_id=image_id,
            img_shape=size,
            ori_shape=size,
            pad_shape=size,
            batch_input_shape=size,
            scale_factor=(1.0, 1.0),
            homography_matrix=torch.eye(3).numpy(),
            **meta,
        )
    )
    corner = 8.0 * torch.arange(num_boxes).float()[:, None].expand(-1, 2)
    made.gt_instances = InstanceData(
        bboxes=torch.cat([corner, corner + 24], 1),
        labels=torch.arange(num_boxes) % NUM_CLASSES,
    )
    return made


def batch(num_sup=1, num_unsup=2, sup_size=(64, 96), num_boxes=2, seed=1, **meta):
    """Preprocessed inputs and data samples of the three branches.

    Args:
        num_sup: labelled images.
        num_unsup: unlabelled images.
        sup_size: size of the labelled images; the views are 64 x 96.
        num_boxes: boxes on each labelled image.
        seed: seed of the pixels.
        **meta: more metainfo of the strong views.
    """
    generator = torch.Generator().manual_seed(seed)
    weak = torch.randn(num_unsup, 3, 64, 96, generator=generator)
    inputs = {
        "sup": torch.randn(num_sup, 3, *sup_size, generator=generator),
        "unsup_teacher": weak,
        "unsup_student": weak.clone(),
    }
    samples = {
        "sup": [sample(i, sup_size, num_boxes) for i in range(num_sup)],
        "unsup_teacher": [sample(100 + i, num_boxes=0) for i in range(num_unsup)],
        "unsup_student": [
            sample(100 + i, num_boxes=0, **meta) for i in range(num_unsup)
        ],
    }
    return inputs, samples


def total(losses: dict) -> torch.Tensor:
    """The objective that mmengine forms from a loss dict."""
    parts = [
        sum(v) if isinstance(v, list) else v for k, v in losses.items() if "loss" in k
    ]
    return sum(part.mean() for part in parts)


def trainable(module):
    return {n: p for n, p in module.named_parameters() if p.requires_grad}


def assert_whole_student_learns(model, losses):
    """A finite loss reaches every parameter of the student, and none of the teacher."""
    value = total(losses)
    assert torch.isfinite(value)
    value.backward()
    assert all(p.grad is not None for p in trainable(model.student).values())
    assert not trainable(model.teacher)
