"""mmdet's own configs of detector families, made small, and batches for them."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import mmdet
import torch
from mmdet.registry import MODELS
from mmdet.structures import DetDataSample
from mmengine.config import Config, ConfigDict
from mmengine.logging import MessageHub
from mmengine.structures import InstanceData

from ssod_mm.engine.runtime import use_local_batch_norm
from tests.config_runs import dicts_in

CONFIGS = Path(mmdet.__file__).parent / ".mim" / "configs"
FAMILIES = {
    "Faster R-CNN": "faster_rcnn/faster-rcnn_r50_fpn_1x_coco.py",
    "Cascade R-CNN": "cascade_rcnn/cascade-rcnn_r50_fpn_1x_coco.py",
    "RetinaNet": "retinanet/retinanet_r50_fpn_1x_coco.py",
    "FCOS": "fcos/fcos_r50-caffe_fpn_gn-head_1x_coco.py",
    "ATSS": "atss/atss_r50_fpn_1x_coco.py",
    "GFL": "gfl/gfl_r50_fpn_1x_coco.py",
    "TOOD": "tood/tood_r50_fpn_1x_coco.py",
    "RTMDet": "rtmdet/rtmdet_tiny_8xb32-300e_coco.py",
    "YOLOX": "yolox/yolox_tiny_8xb8-300e_coco.py",
    "Sparse R-CNN": "sparse_rcnn/sparse-rcnn_r50_fpn_1x_coco.py",
    "DETR": "detr/detr_r50_8xb2-150e_coco.py",
    "Conditional DETR": "conditional_detr/conditional-detr_r50_8xb2-50e_coco.py",
    "Deformable DETR": "deformable_detr/deformable-detr_r50_16xb2-50e_coco.py",
    "DINO": "dino/dino-4scale_r50_8xb2-12e_coco.py",
    "DDQ": "ddq/ddq-detr-4scale_r50_8xb2-12e_coco.py",
}
NUM_CLASSES, NUM_QUERIES = 3, 10
FEW = {
    "num_classes": NUM_CLASSES,
    "num_queries": NUM_QUERIES,
    "num_proposals": NUM_QUERIES,
    "fc_out_channels": 32,
    "feedforward_channels": 64,
    "nms_pre": 50,
    "max_per_img": NUM_QUERIES,
    "score_thr": 1e-6,
}
SIZES = {
    "sup": [(64, 96), (60, 70)],
    "unsup_teacher": [(64, 64), (64, 96)],
    "unsup_student": [(70, 66), (60, 96)],
}
"""(height, width) of the images of each branch."""


def family_cfg(family: str) -> ConfigDict:
    """mmdet's detector with a ResNet-18 of a quarter of the width, or as it is."""
    cfg = Config.fromfile(CONFIGS / FAMILIES[family]).model
    cfg.pop("init_cfg", None)
    backbone = cfg.backbone
    backbone.init_cfg = None
    if backbone.type == "ResNet":
        backbone.update(depth=18, base_channels=16, stem_channels=16, style="pytorch")
        backbone.update(frozen_stages=-1, norm_eval=False)
        backbone.norm_cfg = dict(type="GN", num_groups=4)
        stages = backbone.out_indices
        cfg.neck.in_channels = [16 * 2**stage for stage in stages]
    use_local_batch_norm(Config(dict(model=cfg)))
    for part in dicts_in(cfg):
        part.update({key: value for key, value in FEW.items() if key in part})
    for stack in ("encoder", "decoder"):
        if stack in cfg:
            cfg[stack].num_layers = 2
    if cfg.get("roi_head", {}).get("type") == "SparseRoIHead":
        _keep_two_stages(cfg)
    return cfg


def _keep_two_stages(cfg: ConfigDict) -> None:
    head = cfg.roi_head
    head.num_stages = 2
    for owner, key in (
        (head, "stage_loss_weights"),
        (head, "bbox_head"),
        (cfg.train_cfg, "rcnn"),
    ):
        owner[key] = owner[key][:2]
    for stage in head.bbox_head:
        stage.dynamic_conv_cfg.feat_channels = 8


def family_model_cfg(family: str, **settings: Any) -> ConfigDict:
    """The config of a mean teacher whose untrained teacher labels every image."""
    detector = family_cfg(family)
    defaults = dict(score_thr=0.0, min_box_wh=(0.1, 0.1), min_visible=0.0)
    return ConfigDict(
        type="MeanTeacher",
        detector=detector,
        data_preprocessor=dict(
            type="MultiBranchDataPreprocessor",
            data_preprocessor=detector.data_preprocessor,
        ),
        semi_train_cfg={**defaults, "burn_in": 0, "ramp_iters": 0, **settings},
        semi_test_cfg=dict(predict_on="teacher"),
    )


def build_family(family: str, **settings: Any) -> Any:
    """A mean teacher in train mode, teacher equal to student."""
    MessageHub.get_current_instance().update_info("epoch", 0)
    torch.manual_seed(0)
    model = MODELS.build(family_model_cfg(family, **settings))
    model.init_weights()
    if family == "RTMDet":  # boxes of some pixels in place of none
        for reg in model.student.bbox_head.rtm_reg:
            torch.nn.init.constant_(reg.bias, 1.0)
    model.teacher.load_state_dict(model.student.state_dict())
    return model.train()


def family_batch(model: Any, empty: bool = False) -> dict[str, Any]:
    """A preprocessed training batch: two images of each branch, of several sizes.

    Args:
        model: whose preprocessor takes it.
        empty: whether one labelled image shows nothing.
    """
    generator = torch.Generator().manual_seed(0)
    boxes = [[[8, 10, 40, 44], [30, 20, 70, 60]], [[] if empty else [5, 5, 50, 40]]]
    inputs, samples = {}, {}
    for branch, sizes in SIZES.items():
        inputs[branch] = [
            torch.randint(256, (3, *size), generator=generator, dtype=torch.uint8)
            for size in sizes
        ]
        samples[branch] = [
            _sample(number, size, boxes[number] if branch == "sup" else [])
            for number, size in enumerate(sizes)
        ]
    return model.data_preprocessor(dict(inputs=inputs, data_samples=samples), True)


def _sample(number: int, size: tuple[int, int], boxes: list) -> DetDataSample:
    bboxes = torch.tensor([box for box in boxes if box], dtype=torch.float32)
    none = InstanceData(bboxes=torch.zeros(0, 4), labels=torch.zeros(0).long())
    sample = DetDataSample(ignored_instances=none)
    sample.set_metainfo(
        dict(img_id=number, img_shape=size, ori_shape=size, scale_factor=(1.0, 1.0))
    )
    bboxes = bboxes.reshape(-1, 4)
    labels = torch.arange(len(bboxes)) % NUM_CLASSES
    sample.gt_instances = InstanceData(bboxes=bboxes, labels=labels)
    return sample
