"""All labels of COCO train2017, with unlabeled2017 as unlabelled images."""

_base_ = "./coco.py"

percent = 100

labelled = dict(ann_file="annotations/instances_train{year}.json")
unlabelled = dict(
    ann_file="annotations/instances_unlabeled2017.json",
    data_prefix=dict(img="unlabeled2017/"),
)
hidden_ann_file = None  # nobody knows the true boxes of these images
