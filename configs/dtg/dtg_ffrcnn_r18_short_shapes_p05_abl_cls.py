"""DTG: clusters teach classes alone (tables 2b, 3c)."""

_base_ = "./dtg_ffrcnn_r18_short_shapes_p05.py"

model = dict(dense=dict(rcnn=dict(box_target="none", rank_weight=0.0)))
