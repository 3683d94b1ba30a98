"""Mean teacher on your own data: RTMDet-s, 10 % of the labels.

Command: python tools/train.py
         mean_teacher/mean_teacher_rtmdet_s_folder.py
         --cfg-options data_root=DATA pretrained=WEIGHTS
WEIGHTS: cspnext-s_imagenet_600e.pth, see `rtmdet_weights` in one_stage_s.py.
"""

_base_ = [
    "../_base_/folder.py",
    "../_base_/one_stage_s.py",
    "../_base_/short_teacher.py",
]

teacher_config = "supervised/supervised_rtmdet_s_folder.py"
# One-stage scores are lower than softmax scores of the same precision.
model = dict(
    type="MeanTeacher",
    detector=_base_.rtmdet,
    semi_train_cfg=dict(score_thr=0.5),
)
optim_wrapper = dict(_base_.rtmdet_short_optimiser, _delete_=True)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
