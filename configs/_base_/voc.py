"""VOC07 trainval labelled, VOC12 trainval unlabelled, tested on VOC07 test.

    data/VOCdevkit/VOC2007/, VOC2012/     as unpacked
    data/VOCdevkit/annotations/           written by tools/prepare_voc.py

`coco20`, which some configs have beside VOC12: the COCO images of VOC's classes
    data/coco/annotations/instances_train2017_coco20-unlabeled.json
                                          written by tools/prepare_coco.py --coco20

Results: `coco/bbox_mAP` and the like count all objects; `coco_easy/bbox_mAP` ignores
the "difficult" ones, and so does VOC's own `voc07/mAP_11points`. Training ignores them.
"""

data_root = "data/VOCdevkit"
coco_root = "data/coco"
num_classes = 20
percent = 100  # all labels of VOC07

labelled = dict(
    type="CocoSemiDataset",
    data_root="{data_root}",
    ann_file="annotations/voc07_trainval.json",
    data_prefix=dict(img=""),
    filter_cfg=dict(filter_empty_gt=True, min_size=32),
    pipeline="labelled",
)
unlabelled = dict(
    type="CocoSemiDataset",
    data_root="{data_root}",
    ann_file="annotations/voc12_trainval-unlabeled.json",
    data_prefix=dict(img=""),
    filter_cfg=dict(filter_empty_gt=False),
    pipeline="unlabelled",
)
coco20 = dict(
    type="CocoSemiDataset",
    data_root="{coco_root}",
    ann_file="annotations/instances_train2017_coco20-unlabeled.json",
    data_prefix=dict(img="train2017/"),
    filter_cfg=dict(filter_empty_gt=False),
    pipeline="unlabelled",
)
# True boxes of the unlabelled images. Only the hooks on pseudo labels read them.
hidden_ann_file = "{data_root}/annotations/voc12_trainval.json"

val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type="CocoSemiDataset",
        test_mode=True,
        data_root="{data_root}",
        ann_file="annotations/voc07_test.json",
        data_prefix=dict(img=""),
        pipeline="test",
    ),
)
val_evaluator = [
    dict(
        type="FastCocoMetric",
        ann_file="{data_root}/annotations/voc07_test.json",
        metric="bbox",
    ),
    dict(
        type="FastCocoMetric",
        ann_file="{data_root}/annotations/voc07_test.json",
        metric="bbox",
        ignore_difficult=True,
        prefix="coco_easy",
    ),
    dict(type="Voc07Metric", ann_file="{data_root}/annotations/voc07_test.json"),
]
