"""LER and PRC: pseudo labels weighted by how well they are placed.

What the paper switches: `model.ler`, `model.prc` (None is off) and `score_thr`; the
rest, the weight 4 of the unlabelled losses among it, is the mean teacher's.
"""

method = dict(
    type="LerPrcTeacher",
    semi_train_cfg=dict(score_thr=0.8),
    ler=dict(quality=True, reg_norm="foreground"),
    prc=dict(quality=True, cls_norm="separate"),
)
