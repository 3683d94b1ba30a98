"""DTG: dense guidance of the R-CNN stage alone (table 2c)."""

_base_ = "./dtg_ffrcnn_mnv2_short_folder_p10.py"

# What label assignment needs with few labels: as the plain mean teacher here.
model = dict(
    detector=dict(train_cfg=dict(rpn=_base_.unsure.rpn)),
    dense=dict(rpn=dict(mode="sparse")),
    semi_train_cfg=dict(ignore_thr=0.2, unsup_loss_weights=dict(loss_rpn_bbox=0.0)),
)
