"""Ablation: a plain box head, no certainty (table 6)."""

_base_ = "./certainty_ifrcnn_r50_90k_coco_p02.py"

teacher_config = "supervised/supervised_frcnn_r50_12k_coco_p02.py"
head = dict(
    _base_.model.detector.roi_head.bbox_head, **_base_.plain_head, _delete_=True
)
del head["num_intervals"], head["score_factor"]
model = dict(
    detector=dict(roi_head=dict(bbox_head=head)),
    class_balance=dict(use_loc=False),
)

del head
