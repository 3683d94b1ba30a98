"""All labels of COCO train2017, with unlabeled2017 as unlabelled images."""

_base_ = "./coco_partial.py"

labelled = dict(ann_file="annotations/instances_train2017.json")
unlabelled = dict(
    ann_file="annotations/instances_unlabeled2017.json",
    data_prefix=dict(img="unlabeled2017/"),
)
hidden_ann_file = None
pseudo_label_hooks = [dict(type="DrawPseudoLabelsHook", interval=5000)]
