"""DTG: clusters teach classes and kept boxes, no ranks (tables 2b, 3c)."""

_base_ = "./dtg_ffrcnn_r18_short_shapes_p05.py"

model = dict(dense=dict(rcnn=dict(rank_weight=0.0)))
