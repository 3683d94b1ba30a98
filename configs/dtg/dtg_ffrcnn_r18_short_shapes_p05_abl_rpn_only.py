"""DTG: the RPN alone learns from unlabelled images (tables 2a, 2b)."""

_base_ = "./dtg_ffrcnn_r18_short_shapes_p05.py"

model = dict(dense=dict(rcnn=dict(mode="off")))
