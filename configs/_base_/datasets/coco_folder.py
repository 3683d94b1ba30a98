"""Your own data: any folder in the layout below, any classes.

    <data_root>/annotations/instances_train.json, instances_val.json   COCO format
    <data_root>/annotations/semi/                    written by tools/make_splits.py
    <data_root>/train/, <data_root>/val/             images
    <data_root>/unlabelled/                          optional, images without a json

The class list is read from the json. Everything follows these two, also in the
configs that inherit this file:
    --cfg-options data_root=path/to/data num_classes=7
"""

data_root = "{{$DATA_ROOT:data/my_dataset}}"
num_classes = int("{{$NUM_CLASSES:7}}")

dataset_type = "CocoSemiDataset"
labelled = dict(
    type=dataset_type,
    data_root=data_root,
    ann_file="annotations/semi/instances_train.{fold}@{percent}.json",
    data_prefix=dict(img="train/"),
    filter_cfg=dict(filter_empty_gt=True),
)
unlabelled = dict(
    type=dataset_type,
    data_root=data_root,
    ann_file="annotations/semi/instances_train.{fold}@{percent}-unlabeled.json",
    data_prefix=dict(img="train/"),
    filter_cfg=dict(filter_empty_gt=False),
)
# A plain folder of images instead, without any json:
# see mean_teacher/mean_teacher_frcnn_mnv2_short_folder_images.py
hidden_ann_file = (
    f"{data_root}/annotations/semi/instances_train.{{fold}}@{{percent}}-hidden.json"
)

val_dataloader = dict(
    batch_size=4,
    num_workers=2,
    persistent_workers=True,
    drop_last=False,
    sampler=dict(type="DefaultSampler", shuffle=False),
    dataset=dict(
        type=dataset_type,
        data_root=data_root,
        ann_file="annotations/instances_val.json",
        data_prefix=dict(img="val/"),
        test_mode=True,
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type="FastCocoMetric",
    ann_file=f"{data_root}/annotations/instances_val.json",
    metric="bbox",
)
test_evaluator = val_evaluator
