"""Tiny detectors with focal RoI heads under dense guidance."""

from __future__ import annotations

import torch
from mmdet.registry import MODELS
from mmengine.config import ConfigDict

from tests.helpers import tiny_detector_cfg
from tests.models.builders import NUM_CLASSES, batch, one_stage_cfg

BOTH = dict(rpn=dict(tau=0.5), rcnn=dict(tau=0.45))
FOCAL = dict(
    loss_cls=dict(type="FocalRoILoss"), cls_predictor_cfg=dict(type="PriorLinear")
)


def focal_cfg(**head) -> dict:
    """The tiny Faster R-CNN with sigmoid focal classification."""
    cfg = tiny_detector_cfg(NUM_CLASSES)
    cfg["roi_head"]["bbox_head"].update({**FOCAL, **head})
    return cfg


def retina_cfg() -> dict:
    """The tiny RetinaNet."""
    return one_stage_cfg("RetinaHead")


def gfl_cfg() -> dict:
    """A tiny GFL, whose boxes are distributions over eight strides."""
    cfg = one_stage_cfg("RetinaHead")
    cfg["type"] = "GFL"
    cfg["bbox_head"].update(
        type="GFLHead",
        reg_max=8,
        norm_cfg=dict(type="GN", num_groups=4),
        anchor_generator=dict(
            type="AnchorGenerator",
            octave_base_scale=4,
            scales_per_octave=1,
            ratios=[1.0],
            strides=[8, 16, 32],
        ),
        loss_cls=dict(type="QualityFocalLoss", use_sigmoid=True, beta=2.0),
        loss_bbox=dict(type="GIoULoss", loss_weight=2.0),
    )
    cfg["train_cfg"]["assigner"] = dict(type="ATSSAssigner", topk=9)
    return cfg


def build_dense(dense=None, cfg=None, seed=0, certain=True, **arguments):
    """A DenseGuidanceTeacher in train mode, teacher equal to student.

    Args:
        dense: ``model.dense``.
        cfg: config of the detector; the focal Faster R-CNN where None.
        seed: seed of the weights.
        certain: draw wide classifiers, so that scores spread over (0, 1) and an
            untrained teacher has candidates.
        **arguments: keys of ``semi_train_cfg``; ``class_balance`` and
            ``mixing`` apart.
    """
    from ssod_mm.models import DenseGuidanceTeacher  # registers

    torch.manual_seed(seed)
    cfg = cfg or focal_cfg()
    balance = arguments.pop("class_balance", None)
    mixing = arguments.pop("mixing", None)
    model = MODELS.build(
        ConfigDict(
            type=DenseGuidanceTeacher.__name__,
            detector=cfg,
            dense=dense,
            class_balance=balance,
            mixing=mixing,
            data_preprocessor=dict(
                type="MultiBranchDataPreprocessor",
                data_preprocessor=cfg["data_preprocessor"],
            ),
            semi_train_cfg={"score_thr": 0.9, **arguments},
        )
    )
    model.init_weights()
    if certain:
        spread_scores(model.student)
    model.teacher.load_state_dict(model.student.state_dict())
    return model.train()


@torch.no_grad()
def spread_scores(detector) -> None:
    """Widen the classifiers and unbias them."""
    if hasattr(detector, "rpn_head"):
        layers = [detector.rpn_head.rpn_cls, detector.roi_head.bbox_head.fc_cls]
    else:
        head = detector.bbox_head
        layers = [getattr(head, "retina_cls", None) or head.gfl_cls]
    for layer in layers:
        torch.nn.init.normal_(layer.weight, std=1.5)
        torch.nn.init.zeros_(layer.bias)


def guidance_of(model, homography=None, **meta):
    """Guidance in both frames, and the strong views' samples."""
    inputs, samples = batch(**meta)
    weak, strong = samples["unsup_teacher"], samples["unsup_student"]
    for sample in strong if homography is not None else []:
        sample.set_metainfo(dict(homography_matrix=homography.numpy()))
    with torch.no_grad():
        found = model.teacher_guidance(inputs["unsup_teacher"], weak)
    return found, model.to_student_view(found, weak, strong), strong


def missing_gradients(model):
    named = model.student.named_parameters()
    return [n for n, p in named if p.requires_grad and p.grad is None]
