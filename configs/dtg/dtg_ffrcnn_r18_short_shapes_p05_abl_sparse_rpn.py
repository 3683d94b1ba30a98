"""DTG: dense guidance of the R-CNN stage alone (table 2c)."""

_base_ = "./dtg_ffrcnn_r18_short_shapes_p05.py"

model = dict(dense=dict(rpn=dict(mode="sparse")))
