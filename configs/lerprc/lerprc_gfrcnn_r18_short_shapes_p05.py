"""LER and PRC on the embedded shapes: small Gaussian Faster R-CNN, 5 % of the labels.

Command: python tools/train.py lerprc/lerprc_gfrcnn_r18_short_shapes_p05.py
Data:    python tools/make_shapes.py --out data/shapes
"""

_base_ = [
    "../_base_/short/shapes.py",
    "../_base_/heads/gaussian_few_labels.py",
    "../_base_/methods/lerprc.py",
]

percent = 5
teacher_config = "supervised/supervised_gfrcnn_r18_short_shapes_p05.py"
# As the plain mean teacher here: where objects are more than what they are.
model = dict(
    _base_.method,
    detector=dict(_base_.head, train_cfg=_base_.unsure),
    # A quarter of equation 11: so was this measured.
    ler=dict(gain=0.25),
    semi_train_cfg=dict(ignore_thr=0.15, unsup_loss_weights=dict(loss_cls=0.1)),
)
