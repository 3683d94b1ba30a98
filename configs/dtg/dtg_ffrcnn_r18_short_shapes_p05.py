"""DTG on the embedded shapes: small focal Faster R-CNN, 5 % of the labels.

Command: python tools/train.py dtg/dtg_ffrcnn_r18_short_shapes_p05.py
Data:    python tools/make_shapes.py --out data/shapes
"""

_base_ = [
    "../_base_/short/shapes.py",
    "../_base_/heads/focal.py",
    "../_base_/short/dtg.py",
]

percent = 5
teacher_config = "supervised/supervised_ffrcnn_r18_short_shapes_p05.py"
# As the plain mean teacher here: where objects are more than what they are.
_base_.method.dense.rcnn.cls_weight = 0.1
model = dict(_base_.method, detector=_base_.head)
