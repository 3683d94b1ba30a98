"""Ablation: the boxes of pseudo labels are taught as well, as in the paper."""

_base_ = "./certainty_ifrcnn_mnv2_short_folder_p10.py"

model = dict(semi_train_cfg=dict(unsup_loss_weights=dict(_delete_=True)))
