"""COCO train2017 with `percent` of its labels, the rest as unlabelled images.

data/coco/annotations/instances_{train,val}2017.json
data/coco/annotations/semi/           written by tools/make_splits.py
data/coco/train2017/, val2017/        images
"""

data_root = "{{$DATA_ROOT:data/coco}}"
dataset_type = "CocoSemiDataset"

labelled = dict(
    type=dataset_type,
    data_root=data_root,
    ann_file="annotations/semi/instances_train2017.{fold}@{percent}.json",
    data_prefix=dict(img="train2017/"),
    filter_cfg=dict(filter_empty_gt=True, min_size=32),
)
unlabelled = dict(
    type=dataset_type,
    data_root=data_root,
    ann_file="annotations/semi/instances_train2017.{fold}@{percent}-unlabeled.json",
    data_prefix=dict(img="train2017/"),
    filter_cfg=dict(filter_empty_gt=False),
)
# The true boxes of the unlabelled images: read by PseudoLabelQualityHook alone.
hidden_ann_file = (
    f"{data_root}/annotations/semi/instances_train2017.{{fold}}@{{percent}}-hidden.json"
)

val_dataloader = dict(
    batch_size=1,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file="annotations/instances_val2017.json",
        data_prefix=dict(img="val2017/"),
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type="FastCocoMetric",
    ann_file=f"{data_root}/annotations/instances_val2017.json",
    metric="bbox",
)
test_evaluator = val_evaluator
