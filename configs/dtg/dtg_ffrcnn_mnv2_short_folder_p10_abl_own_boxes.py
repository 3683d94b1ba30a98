"""DTG: each candidate learns its own teacher box, no ranks (table 3c)."""

_base_ = "./dtg_ffrcnn_mnv2_short_folder_p10.py"

model = dict(dense=dict(rcnn=dict(box_target="own", rank_weight=0.0)))
