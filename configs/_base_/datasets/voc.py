"""VOC07 trainval labelled, VOC12 trainval unlabelled, tested on VOC07 test.

    data/VOCdevkit/VOC2007/, VOC2012/     as unpacked
    data/VOCdevkit/annotations/           written by tools/prepare_voc.py

Results: `coco/bbox_mAP` and the like count all objects; `coco_easy/bbox_mAP` ignores
the "difficult" ones, and so does VOC's own `voc07/mAP_11points`. Training ignores them.
"""

_base_ = "./common.py"

data_root = "{{$DATA_ROOT:data/VOCdevkit}}"
num_classes = 20

labelled = dict(
    data_root=data_root,
    ann_file="annotations/voc07_trainval.json",
    data_prefix=dict(img=""),
    filter_cfg=dict(min_size=32),
)
unlabelled = dict(
    data_root=data_root,
    ann_file="annotations/voc12_trainval-unlabeled.json",
    data_prefix=dict(img=""),
)
# The true boxes of the unlabelled images: read by the hooks on pseudo labels alone.
hidden_ann_file = f"{data_root}/annotations/voc12_trainval.json"
pseudo_label_hooks = [
    dict(type="PseudoLabelQualityHook", ann_file=hidden_ann_file),
    dict(type="DrawPseudoLabelsHook", interval=5000, ann_file=hidden_ann_file),
]

val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file="annotations/voc07_test.json",
        data_prefix=dict(img=""),
    )
)
test_dataloader = val_dataloader
test_ann_file = f"{data_root}/annotations/voc07_test.json"
val_evaluator = [
    dict(type="FastCocoMetric", ann_file=test_ann_file, metric="bbox"),
    dict(
        type="FastCocoMetric",
        ann_file=test_ann_file,
        metric="bbox",
        ignore_difficult=True,
        prefix="coco_easy",
    ),
    dict(type="Voc07Metric", ann_file=test_ann_file),
]
test_evaluator = val_evaluator
