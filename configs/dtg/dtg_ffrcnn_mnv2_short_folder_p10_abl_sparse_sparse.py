"""DTG: the sparse-to-dense baseline: pseudo boxes and assignment (table 2c)."""

_base_ = "./dtg_ffrcnn_mnv2_short_folder_p10.py"

model = dict(dense=dict(rpn=dict(mode="sparse"), rcnn=dict(mode="sparse")))
