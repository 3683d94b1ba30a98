"""DTG: the sparse-to-dense baseline: pseudo boxes and assignment (table 2c)."""

_base_ = "./dtg_ffrcnn_r18_short_shapes_p05.py"

model = dict(dense=dict(rpn=dict(mode="sparse"), rcnn=dict(mode="sparse")))
