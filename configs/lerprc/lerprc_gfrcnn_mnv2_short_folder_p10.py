"""LER and PRC on your own data: tiny Gaussian Faster R-CNN, 10 % of the labels.

Command: python tools/train.py lerprc/lerprc_gfrcnn_mnv2_short_folder_p10.py
         --cfg-options data_root=DATA num_classes=N pretrained=WEIGHTS
"""

_base_ = [
    "../_base_/short/folder.py",
    "../_base_/heads/gaussian_few_labels.py",
    "../_base_/methods/lerprc.py",
]

percent = 10
teacher_config = "supervised/supervised_gfrcnn_mnv2_short_folder_p10.py"
# As the plain mean teacher of the same folder, to compare with.
model = dict(
    _base_.method,
    detector=dict(_base_.head, train_cfg=_base_.unsure),
    # Divided by their own number, the few foreground candidates get half of the loss:
    # then the teacher's scores rise and the precision of its labels falls to a third.
    # Divided by that of all, their reliability is a seventh of the background's, and
    # the student unlearns objects: the gain makes good for p and s_loc <= 0.5.
    # A quarter of equation 11: so was this measured.
    ler=dict(gain=0.25),
    prc=dict(cls_norm="joint", gain=4.0),
    semi_train_cfg=dict(
        ignore_thr=0.2,
        # Its boxes are off by an eighth of their size: they teach little.
        unsup_loss_weights=dict(loss_rpn_bbox=0.0, loss_bbox=0.25),
    ),
)
