"""DTG: clusters teach classes alone (tables 2b, 3c)."""

_base_ = "./dtg_ffrcnn_mnv2_short_folder_p10.py"

model = dict(dense=dict(rcnn=dict(box_target="none", rank_weight=0.0)))
