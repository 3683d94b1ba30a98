"""LER and PRC by interval certainty, on your own data: 10 % of the labels.

Command: python tools/train.py lerprc/lerprc_ifrcnn_mnv2_short_folder_p10.py
         --cfg-options data_root=DATA num_classes=N pretrained=WEIGHTS
"""

_base_ = [
    "../_base_/short/folder.py",
    "../_base_/heads/interval_few_labels.py",
    "../_base_/methods/lerprc.py",
]

percent = 10
teacher_config = "supervised/supervised_ifrcnn_mnv2_short_folder_p10.py"
# As with Gaussian boxes. The interval head calls its box losses otherwise, and has more
# of them by its own weights.
model = dict(
    _base_.method,
    detector=dict(_base_.head, train_cfg=_base_.unsure),
    # A quarter of equation 11: so was this measured.
    ler=dict(gain=0.25),
    prc=dict(cls_norm="joint", gain=4.0),
    semi_train_cfg=dict(
        ignore_thr=0.2,
        unsup_loss_weights=dict(
            loss_rpn_bbox=0.0, loss_bbox_seg=0.06, loss_bbox_reg=0.12
        ),
    ),
)
