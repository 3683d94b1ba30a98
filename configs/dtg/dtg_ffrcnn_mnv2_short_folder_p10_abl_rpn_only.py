"""DTG: the RPN alone learns from unlabelled images (tables 2a, 2b)."""

_base_ = "./dtg_ffrcnn_mnv2_short_folder_p10.py"

model = dict(dense=dict(rcnn=dict(mode="off")))
