"""Your own data: any folder in the layout below, any classes.

    <data_root>/annotations/instances_train.json, instances_val.json   COCO format
    <data_root>/annotations/semi/                    written by tools/make_splits.py
    <data_root>/train/, <data_root>/val/             images
    <data_root>/unlabelled/                          optional, images without a json

The class list is read from the json. Everything follows these two, also in the
configs that inherit this file:
    --cfg-options data_root=path/to/data num_classes=7
"""

_base_ = "./common.py"

data_root = "{{$DATA_ROOT:data/my_dataset}}"
num_classes = int("{{$NUM_CLASSES:7}}")

labelled = dict(
    data_root=data_root,
    ann_file="annotations/semi/instances_train.{fold}@{percent}.json",
    data_prefix=dict(img="train/"),
)
unlabelled = dict(
    data_root=data_root,
    ann_file="annotations/semi/instances_train.{fold}@{percent}-unlabeled.json",
    data_prefix=dict(img="train/"),
)
# A plain folder of images instead, without any json:
# see mean_teacher/mean_teacher_frcnn_mnv2_short_folder_images.py
hidden_ann_file = (
    f"{data_root}/annotations/semi/instances_train.{{fold}}@{{percent}}-hidden.json"
)
pseudo_label_hooks = [
    dict(type="PseudoLabelQualityHook", ann_file=hidden_ann_file),
    dict(type="DrawPseudoLabelsHook", interval=5000, ann_file=hidden_ann_file),
]

val_dataloader = dict(
    batch_size=4,
    dataset=dict(
        data_root=data_root,
        ann_file="annotations/instances_val.json",
        data_prefix=dict(img="val/"),
    ),
)
test_dataloader = val_dataloader
val_evaluator = dict(
    type="FastCocoMetric",
    ann_file=f"{data_root}/annotations/instances_val.json",
    metric="bbox",
)
test_evaluator = val_evaluator
