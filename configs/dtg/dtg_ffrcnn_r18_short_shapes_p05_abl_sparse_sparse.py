"""DTG: the sparse-to-dense baseline: pseudo boxes and assignment (table 2c)."""

_base_ = "./dtg_ffrcnn_r18_short_shapes_p05.py"

# What label assignment needs with few labels: as the plain mean teacher here. From tau
# to `score_thr` boxes are ignored.
model = dict(
    detector=dict(train_cfg=_base_.unsure),
    dense=dict(
        rpn=dict(mode="sparse"),
        rcnn=dict(mode="sparse", tau=0.15, ignore_thr=None, max_proposals=None),
    ),
    semi_train_cfg=dict(ignore_thr=0.15, unsup_loss_weights=dict(loss_cls=0.0)),
)
