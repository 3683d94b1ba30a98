"""Tiny semi-supervised runs for the tests of hooks and loops."""

from __future__ import annotations

import json
from pathlib import Path

from mmdet.registry import MODELS
from mmengine.config import Config, ConfigDict
from mmengine.registry import init_default_scope
from mmengine.runner import Runner

import ssod_mm.data
import ssod_mm.engine
import ssod_mm.evaluation
import ssod_mm.models  # noqa: F401
from tests.helpers import make_tiny_coco, tiny_dataset_cfg, tiny_detector_cfg

SIZE = dict(scale=(128, 96), ratio=(1.0, 1.0))


def make_semi_coco(folder: Path) -> Path:
    """The tiny data set, and its training images once more without annotations."""
    root = make_tiny_coco(folder, 8)
    content = json.loads((root / "annotations/instances_train.json").read_text())
    bare = {**content, "annotations": []}
    (root / "annotations/unlabelled.json").write_text(json.dumps(bare))
    return root


def semi_model_cfg(**semi_train_cfg) -> dict:
    detector = tiny_detector_cfg()
    preprocessor = detector["data_preprocessor"]
    return dict(
        type="MeanTeacher",
        detector=detector,
        data_preprocessor=dict(
            type="MultiBranchDataPreprocessor", data_preprocessor=preprocessor
        ),
        semi_train_cfg={"score_thr": 0.0, **semi_train_cfg},
        semi_test_cfg=dict(predict_on="teacher"),
    )


def build_semi_model(**semi_train_cfg):
    init_default_scope("mmdet")
    model = MODELS.build(ConfigDict(semi_model_cfg(**semi_train_cfg)))
    model.init_weights()
    return model


def metric_cfg(root: Path, **changes) -> dict:
    ann_file = str(root / "annotations/instances_val.json")
    return {"type": "FastCocoMetric", "ann_file": ann_file, **changes}


def semi_cfg(root: Path, work_dir: Path, max_iters: int = 2, **changes) -> Config:
    load = dict(type="LoadImage")
    sup = [
        load,
        dict(type="LoadAnnotations", with_bbox=True),
        dict(
            type="LabelledView",
            pipeline=[dict(type="RandomView", **SIZE), dict(type="PackView")],
        ),
    ]
    flipped = [dict(type="RandomView", flip_prob=1.0, **SIZE), dict(type="PackView")]
    plain = [dict(type="RandomView", **SIZE), dict(type="PackView")]
    unsup = [load, dict(type="TwoViews", weak=flipped, strong=plain)]
    no_filter = dict(filter_cfg=dict(filter_empty_gt=False))
    judged = [
        load,
        dict(type="Resize", scale=(128, 96), keep_ratio=True),
        dict(type="LoadAnnotations", with_bbox=True),
        dict(
            type="PackDetInputs",
            meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
        ),
    ]
    val_loader = dict(
        batch_size=2,
        num_workers=0,
        sampler=dict(type="DefaultSampler", shuffle=False),
        dataset=tiny_dataset_cfg(root, "val", pipeline=judged),
    )
    cfg = dict(
        default_scope="mmdet",
        work_dir=str(work_dir),
        randomness=dict(seed=0),
        model=semi_model_cfg(),
        train_dataloader=dict(
            batch_size=2,
            num_workers=0,
            sampler=dict(type="RatioSampler", batch_size=2, source_ratio=[1, 1]),
            dataset=dict(
                type="ConcatDataset",
                datasets=[
                    tiny_dataset_cfg(root, pipeline=sup),
                    tiny_dataset_cfg(
                        root,
                        pipeline=unsup,
                        ann_file="annotations/unlabelled.json",
                        **no_filter,
                    ),
                ],
            ),
        ),
        val_dataloader=val_loader,
        val_evaluator=metric_cfg(root),
        train_cfg=dict(
            type="IterBasedTrainLoop", max_iters=max_iters, val_interval=10**6
        ),
        val_cfg=dict(type="BothModelsValLoop"),
        optim_wrapper=dict(
            type="OptimWrapper", optimizer=dict(type="SGD", lr=0.01, momentum=0.9)
        ),
        default_hooks=dict(
            logger=dict(type="LoggerHook", interval=1, log_metric_by_epoch=False),
            checkpoint=dict(type="CheckpointHook", by_epoch=False, interval=10**6),
            sampler_seed=None,
        ),
        custom_hooks=[dict(type="MeanTeacherEMAHook")],
        visualizer=dict(
            type="DetLocalVisualizer", vis_backends=[dict(type="LocalVisBackend")]
        ),
        log_processor=dict(type="LogProcessor", window_size=10, by_epoch=False),
        log_level="WARNING",
        experiment_name=work_dir.name,
    )
    return Config({**cfg, **changes})


def runner_of(cfg: Config) -> Runner:
    return Runner.from_cfg(cfg)
