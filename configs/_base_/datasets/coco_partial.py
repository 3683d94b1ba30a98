"""COCO train2017 with `percent` of its labels, the rest as unlabelled images.

data/coco/annotations/instances_{train,val}2017.json
data/coco/annotations/semi/           written by tools/make_splits.py
data/coco/train2017/, val2017/        images
"""

_base_ = "./common.py"

data_root = "{{$DATA_ROOT:data/coco}}"

labelled = dict(
    data_root=data_root,
    ann_file="annotations/semi/instances_train2017.{fold}@{percent}.json",
    data_prefix=dict(img="train2017/"),
    filter_cfg=dict(min_size=32),
)
unlabelled = dict(
    data_root=data_root,
    ann_file="annotations/semi/instances_train2017.{fold}@{percent}-unlabeled.json",
    data_prefix=dict(img="train2017/"),
)
# The true boxes of the unlabelled images: read by the hooks on pseudo labels alone.
hidden_ann_file = (
    f"{data_root}/annotations/semi/instances_train2017.{{fold}}@{{percent}}-hidden.json"
)
pseudo_label_hooks = [
    dict(type="PseudoLabelQualityHook", ann_file=hidden_ann_file),
    dict(type="DrawPseudoLabelsHook", interval=5000, ann_file=hidden_ann_file),
]

val_dataloader = dict(
    dataset=dict(
        data_root=data_root,
        ann_file="annotations/instances_val2017.json",
        data_prefix=dict(img="val2017/"),
    )
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type="FastCocoMetric",
    ann_file=f"{data_root}/annotations/instances_val2017.json",
    metric="bbox",
)
test_evaluator = val_evaluator
