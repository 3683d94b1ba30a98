"""Beside VOC: the COCO images that show its 20 classes are unlabelled images too.

data/coco/annotations/instances_train2017_coco20-unlabeled.json
                                      written by tools/prepare_coco.py --coco20
"""

coco_root = "{{$COCO_ROOT:data/coco}}"
unlabelled_coco20 = dict(
    type="CocoSemiDataset",
    data_root=coco_root,
    ann_file="annotations/instances_train2017_coco20-unlabeled.json",
    data_prefix=dict(img="train2017/"),
    filter_cfg=dict(filter_empty_gt=False),
)
# The hidden truth is that of VOC12 alone: pseudo labels are drawn, not judged.
unjudged_hooks = [dict(type="DrawPseudoLabelsHook", interval=5000)]
