"""LER and PRC: pseudo labels weighted by how well they are placed.

What the paper switches: `model.ler`, `model.prc` (None is off) and `score_thr`; the
rest of the frame is the mean teacher's.
"""

_base_ = "./mean_teacher.py"

semi_detector = dict(
    type="LerPrcTeacher",
    semi_train_cfg=dict(unsup_weight=4.0, score_thr=0.8),
    ler=dict(quality=True, reg_norm="foreground"),
    prc=dict(quality=True, cls_norm="separate"),
)

# On each of two GPUs two labelled images and eight unlabelled ones.
train_dataloader = dict(batch_size=10, num_workers=8)
auto_scale_lr = dict(base_batch_size=20)
