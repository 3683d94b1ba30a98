"""DTG: candidates that score 0.2 to 0.45 teach nothing, not background."""

_base_ = "./dtg_ffrcnn_mnv2_short_folder_p10.py"

model = dict(dense=dict(rcnn=dict(ignore_thr=0.2)))
