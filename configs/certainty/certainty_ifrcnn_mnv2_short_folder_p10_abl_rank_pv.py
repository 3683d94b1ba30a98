"""Ablation: certainty ranks as well, as in the paper."""

_base_ = "./certainty_ifrcnn_mnv2_short_folder_p10.py"

model = dict(detector=dict(roi_head=dict(bbox_head=dict(score_factor="p*v"))))
