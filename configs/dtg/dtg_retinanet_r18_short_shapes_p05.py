"""DTG on a one-stage detector, the embedded shapes: small RetinaNet, 5 % of the labels.

Command: python tools/train.py dtg/dtg_retinanet_r18_short_shapes_p05.py
Data:    python tools/make_shapes.py --out data/shapes
"""

_base_ = ["../_base_/short/shapes_one_stage.py", "../_base_/methods/dtg.py"]

percent = 5
teacher_config = "supervised/supervised_retinanet_r18_short_shapes_p05.py"
_base_.method.dense = dict(
    head=dict(
        tau=0.45,
        ignore_thr=0.2,
        level="nearest",
        cls_weight=0.1,
        reg_weight=0.1,
        rank_weight=0.75,
    )
)
_base_.method.pop("semi_train_cfg")
model = _base_.method
