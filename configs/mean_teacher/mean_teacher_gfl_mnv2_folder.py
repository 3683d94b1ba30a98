"""Mean teacher on your own data: small GFL, 10 % of the labels.

Command: python tools/train.py
         mean_teacher/mean_teacher_gfl_mnv2_folder.py
         --cfg-options data_root=DATA pretrained=WEIGHTS
"""

_base_ = [
    "../_base_/folder.py",
    "../_base_/short_teacher.py",
]

teacher_config = "supervised/supervised_gfl_mnv2_folder.py"
# One-stage scores are lower than softmax scores of the same precision.
model = dict(
    type="MeanTeacher",
    detector=_base_.gfl,
    semi_train_cfg=dict(score_thr=0.6, ignore_thr=0.2),
)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
