"""Mean teacher on your own data: YOLOX-s, 10 % of the labels.

Command: python tools/train.py
         mean_teacher/mean_teacher_yolox_s_folder.py
         --cfg-options data_root=DATA
All is trained, from random weights: this wants many labels or iterations.
"""

_base_ = [
    "../_base_/folder.py",
    "../_base_/one_stage_s.py",
    "../_base_/short_teacher.py",
]

teacher_config = "supervised/supervised_yolox_s_folder.py"
# One-stage scores are lower than softmax scores of the same precision.
model = dict(
    type="MeanTeacher",
    detector=_base_.yolox,
    semi_train_cfg=dict(score_thr=0.5),
)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
