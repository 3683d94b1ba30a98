"""DTG: all that the teacher scores below tau is background, as in the paper."""

_base_ = "./dtg_ffrcnn_mnv2_short_folder_p10.py"

model = dict(dense=dict(rpn=dict(ignore_thr=None), rcnn=dict(ignore_thr=None)))
