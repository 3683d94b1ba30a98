"""DTG: clusters teach classes and kept boxes, no ranks (tables 2b, 3c)."""

_base_ = "./dtg_ffrcnn_mnv2_short_folder_p10.py"

model = dict(dense=dict(rcnn=dict(rank_weight=0.0)))
