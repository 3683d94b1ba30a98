"""Tiny data, detectors and configs that tests share."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import cv2
import numpy as np


def make_tiny_coco(
    root: str | Path,
    num_images: int,
    size: tuple[int, int] = (96, 128),
    num_classes: int = 3,
    seed: int = 0,
) -> Path:
    """Write a COCO-format data set of coloured rectangles on noise.

    ``annotations/instances_{train,val}.json`` both list the same kind of images, in
    ``train/`` and ``val/``; val has a quarter of them, at least two.

    Args:
        root: Folder to fill; made if absent.
        num_images: Number of training images.
        size: Height and width in pixels.
        num_classes: Number of categories, named "class_0" and so on.
        seed: Seed of everything.

    Returns:
        ``root`` as a path.
    """
    root = Path(root)
    generator = np.random.default_rng(seed)
    (root / "annotations").mkdir(parents=True, exist_ok=True)
    for part, count in (("train", num_images), ("val", max(2, num_images // 4))):
        content = _tiny_part(root / part, count, size, num_classes, generator)
        path = root / "annotations" / f"instances_{part}.json"
        path.write_text(json.dumps(content))
    return root


def _tiny_part(
    folder: Path,
    count: int,
    size: tuple[int, int],
    num_classes: int,
    generator: np.random.Generator,
) -> dict[str, Any]:
    folder.mkdir(exist_ok=True)
    height, width = size
    images, annotations = [], []
    for image_id in range(1, count + 1):
        picture = generator.integers(90, 140, (height, width, 3), dtype=np.uint8)
        for _ in range(2):
            label = int(generator.integers(num_classes))
            w = int(generator.integers(width // 5, width // 2))
            h = int(generator.integers(height // 5, height // 2))
            x = int(generator.integers(0, width - w))
            y = int(generator.integers(0, height - h))
            colour = [0, 0, 0]
            colour[label % 3] = 255 - 40 * (label // 3)
            picture[y : y + h, x : x + w] = colour
            annotations.append(
                dict(
                    id=len(annotations) + 1,
                    image_id=image_id,
                    category_id=label + 1,
                    bbox=[x, y, w, h],
                    area=w * h,
                    iscrowd=0,
                )
            )
        name = f"{image_id:06d}.jpg"
        cv2.imwrite(str(folder / name), picture)
        images.append(dict(id=image_id, file_name=name, width=width, height=height))
    categories = [dict(id=i + 1, name=f"class_{i}") for i in range(num_classes)]
    return dict(images=images, annotations=annotations, categories=categories)


def tiny_detector_cfg(num_classes: int = 3) -> dict[str, Any]:
    """Config of a Faster R-CNN that takes some hundredths of a second per image.

    A ResNet-18 of one eighth of the width with group norm, so that an image's output
    does not depend on the rest of its batch, and random proposals.
    """
    norm = dict(type="GN", num_groups=4)
    strides = [8, 16, 32]
    coder = dict(
        type="DeltaXYWHBBoxCoder", target_means=[0.0] * 4, target_stds=[1.0] * 4
    )
    return dict(
        type="FasterRCNN",
        data_preprocessor=dict(
            type="DetDataPreprocessor",
            mean=[114.0] * 3,
            std=[58.0] * 3,
            bgr_to_rgb=False,
            pad_size_divisor=32,
        ),
        backbone=dict(
            type="ResNet",
            depth=18,
            base_channels=8,
            stem_channels=8,
            num_stages=4,
            out_indices=(1, 2, 3),
            norm_cfg=norm,
            norm_eval=False,
        ),
        neck=dict(type="FPN", in_channels=[16, 32, 64], out_channels=16, num_outs=3),
        rpn_head=dict(
            type="RPNHead",
            in_channels=16,
            feat_channels=16,
            anchor_generator=dict(
                type="AnchorGenerator", scales=[4], ratios=[0.5, 1, 2], strides=strides
            ),
            bbox_coder=coder,
            loss_cls=dict(type="CrossEntropyLoss", use_sigmoid=True),
            loss_bbox=dict(type="L1Loss"),
        ),
        roi_head=dict(
            type="StandardRoIHead",
            bbox_roi_extractor=dict(
                type="SingleRoIExtractor",
                roi_layer=dict(type="RoIAlign", output_size=4, sampling_ratio=2),
                out_channels=16,
                featmap_strides=strides,
                finest_scale=24,
            ),
            bbox_head=dict(
                type="Shared2FCBBoxHead",
                in_channels=16,
                fc_out_channels=32,
                roi_feat_size=4,
                num_classes=num_classes,
                bbox_coder=dict(coder, target_stds=[0.1, 0.1, 0.2, 0.2]),
                loss_cls=dict(type="CrossEntropyLoss"),
                loss_bbox=dict(type="L1Loss"),
            ),
        ),
        train_cfg=dict(
            rpn=dict(
                assigner=_assigner(0.7, 0.3, match_low_quality=True),
                sampler=_random_sampler(32, 0.5, add_gt=False),
                allowed_border=-1,
                pos_weight=-1,
                debug=False,
            ),
            rpn_proposal=dict(
                nms_pre=100,
                max_per_img=40,
                nms=dict(type="nms", iou_threshold=0.7),
                min_bbox_size=0,
            ),
            rcnn=dict(
                assigner=_assigner(0.5, 0.5, match_low_quality=False),
                sampler=_random_sampler(32, 0.25, add_gt=True),
                pos_weight=-1,
                debug=False,
            ),
        ),
        test_cfg=dict(
            rpn=dict(
                nms_pre=100,
                max_per_img=40,
                nms=dict(type="nms", iou_threshold=0.7),
                min_bbox_size=0,
            ),
            rcnn=dict(
                score_thr=0.05, nms=dict(type="nms", iou_threshold=0.5), max_per_img=20
            ),
        ),
    )


def _assigner(positive: float, negative: float, match_low_quality: bool) -> dict:
    return dict(
        type="MaxIoUAssigner",
        pos_iou_thr=positive,
        neg_iou_thr=negative,
        min_pos_iou=negative,
        match_low_quality=match_low_quality,
        ignore_iof_thr=-1,
    )


def _random_sampler(num: int, pos_fraction: float, add_gt: bool) -> dict:
    return dict(
        type="RandomSampler",
        num=num,
        pos_fraction=pos_fraction,
        neg_pos_ub=-1,
        add_gt_as_proposals=add_gt,
    )


def tiny_dataset_cfg(root: str | Path, part: str = "train", **changes: Any) -> dict:
    """Config of one part of ``make_tiny_coco`` as a plain mmdet data set."""
    train = part == "train"
    pack = dict(
        type="PackDetInputs",
        meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
    )
    load = [
        dict(type="LoadImageFromFile"),
        dict(type="LoadAnnotations", with_bbox=True),
    ]
    same_size = dict(type="Resize", scale_factor=1.0, keep_ratio=True)
    middle = dict(type="RandomFlip", prob=0.5) if train else same_size
    content = json.loads(
        (Path(root) / f"annotations/instances_{part}.json").read_text()
    )
    names = tuple(category["name"] for category in content["categories"])
    config = dict(
        type="CocoDataset",
        data_root=str(root),
        ann_file=f"annotations/instances_{part}.json",
        data_prefix=dict(img=f"{part}/"),
        metainfo=dict(classes=names),
        test_mode=not train,
        pipeline=[*load, middle, pack],
    )
    return {**config, **changes}


def tiny_supervised_cfg(
    root: str | Path, max_iters: int = 2, batch_size: int = 2
) -> dict[str, Any]:
    """A complete config that trains the tiny detector on ``make_tiny_coco`` data."""
    root = Path(root)
    return dict(
        default_scope="mmdet",
        custom_imports=dict(
            imports=["ssod_mm.data", "ssod_mm.models", "ssod_mm.engine"],
            allow_failed_imports=False,
        ),
        seed=0,
        model=tiny_detector_cfg(),
        train_dataloader=dict(
            batch_size=batch_size,
            num_workers=0,
            sampler=dict(type="RatioSampler", source_ratio=[1]),
            dataset=dict(type="SeededConcatDataset", datasets=[tiny_dataset_cfg(root)]),
        ),
        test_dataloader=dict(
            batch_size=2,
            num_workers=0,
            sampler=dict(type="DefaultSampler", shuffle=False),
            dataset=tiny_dataset_cfg(root, "val"),
        ),
        test_evaluator=dict(
            type="CocoMetric",
            ann_file=str(root / "annotations/instances_val.json"),
            metric="bbox",
        ),
        test_cfg=dict(type="TestLoop"),
        train_cfg=dict(
            type="IterBasedTrainLoop", max_iters=max_iters, val_interval=10**6
        ),
        optim_wrapper=dict(
            type="OptimWrapper",
            optimizer=dict(type="SGD", lr=0.01, momentum=0.9, weight_decay=1e-4),
        ),
        param_scheduler=[
            dict(type="LinearLR", start_factor=0.1, by_epoch=False, begin=0, end=4)
        ],
        auto_scale_lr=dict(enable=True, base_batch_size=8),
        default_hooks=dict(
            logger=dict(type="LoggerHook", interval=1, log_metric_by_epoch=False),
            checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=10**6),
            sampler_seed=None,
        ),
        custom_hooks=[dict(type="IterationSeedHook")],
        env_cfg=dict(
            mp_cfg=dict(mp_start_method="fork", opencv_num_threads=0),
            dist_cfg=dict(backend="nccl"),
        ),
        visualizer=dict(
            type="DetLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")]
        ),
        log_processor=dict(type="LogProcessor", window_size=1, by_epoch=False),
        log_level="INFO",
    )


def tiny_mean_teacher_cfg(
    root: str | Path, max_iters: int = 2, batch_size: int = 3
) -> dict[str, Any]:
    """A complete config that trains a mean teacher, one labelled image to two others.

    All views have the images' size, and the threshold lets an untrained teacher give
    pseudo labels.
    """
    cfg = tiny_supervised_cfg(root, max_iters, batch_size)
    detector = cfg["model"]
    detector["test_cfg"]["rcnn"]["score_thr"] = 0.01
    cfg["model"] = dict(
        type="MeanTeacher",
        detector=detector,
        data_preprocessor=dict(
            type="MultiBranchDataPreprocessor",
            data_preprocessor=detector["data_preprocessor"],
        ),
        semi_train_cfg=dict(score_thr=0.02, min_visible=0.05, min_box_wh=(1.0, 1.0)),
        semi_test_cfg=dict(predict_on="teacher"),
    )
    flip = dict(type="RandomFlip", prob=0.5)
    load = dict(type="LoadImage")
    annotated = [dict(type="LoadAnnotations", with_bbox=True)]
    pack = dict(type="PackView")
    labelled = tiny_dataset_cfg(
        root,
        type="CocoSemiDataset",
        pipeline=[load, *annotated, dict(type="LabelledView", pipeline=[flip, pack])],
    )
    erase = dict(type="ErasePatches", num=(1, 2), ratio=(0.0, 0.2))
    unlabelled = tiny_dataset_cfg(
        root,
        type="CocoSemiDataset",
        pipeline=[
            load,
            dict(type="TwoViews", weak=[flip, pack], strong=[flip, erase, pack]),
        ],
    )
    loader = cfg["train_dataloader"]
    loader["sampler"]["source_ratio"] = [1, 2]
    loader["dataset"]["datasets"] = [labelled, unlabelled]
    cfg["custom_hooks"].append(dict(type="MeanTeacherEMAHook", momentum=0.9))
    cfg["test_cfg"] = dict(type="BothModelsTestLoop")
    return cfg


def write_config(config: dict[str, Any], path: str | Path) -> Path:
    """Write a config as a Python file that ``Config.fromfile`` reads."""
    lines = [f"{key} = {value!r}" for key, value in config.items()]
    Path(path).write_text("\n".join(lines) + "\n")
    return Path(path)
