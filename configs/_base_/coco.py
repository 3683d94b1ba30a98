"""COCO train2017 with `percent` of its labels, the rest as unlabelled images.

data/coco/annotations/instances_{train,val}2017.json
data/coco/annotations/semi/           written by tools/make_splits.py
data/coco/train2017/, val2017/        images

Your own data in this layout without the year, as in `folder.py`:
    --cfg-options data_root=path/to/data year= num_classes=None
"""

data_root = "data/coco"
year = "2017"
num_classes = 80
percent = 10

labelled = dict(
    type="CocoSemiDataset",
    data_root="{data_root}",
    ann_file="annotations/semi/instances_train{year}.{fold}@{percent}.json",
    data_prefix=dict(img="train{year}/"),
    filter_cfg=dict(filter_empty_gt=True, min_size=32),
    pipeline="labelled",
)
unlabelled = dict(
    type="CocoSemiDataset",
    data_root="{data_root}",
    ann_file="annotations/semi/instances_train{year}.{fold}@{percent}-unlabeled.json",
    data_prefix=dict(img="train{year}/"),
    filter_cfg=dict(filter_empty_gt=False),
    pipeline="unlabelled",
)
# True boxes of the unlabelled images. Only the hooks on pseudo labels read them.
hidden_ann_file = (
    "{data_root}/annotations/semi/instances_train{year}.{fold}@{percent}-hidden.json"
)

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
        ann_file="annotations/instances_val{year}.json",
        data_prefix=dict(img="val{year}/"),
        pipeline="test",
    ),
)
val_evaluator = dict(
    type="FastCocoMetric",
    ann_file="{data_root}/annotations/instances_val{year}.json",
    metric="bbox",
)
