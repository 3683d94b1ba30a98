"""Teacher and student on your own data: the tiny MobileNetV2 detector.

A method of its own is laid over `model`; what it says in `semi_train_cfg` for long runs
is left out.
"""

_base_ = [
    "../models/faster-rcnn_mobilenetv2_tiny.py",
    "../data/folder.py",
    "../schedules/short.py",
    "./mean_teacher.py",
]

_base_.student.detector.roi_head.bbox_head.num_classes = _base_.num_classes
# For methods that have chosen it: on a CPU one pass for both halves of a batch saves
# nothing, and stacking them pads. Batch norm that is trained, without weights, takes
# its statistics from both.
joint_forward = False if _base_.has_weights else 0.1
model = dict(_base_.student, semi_train_cfg=dict(burn_in=_base_.burn_in))
train_dataloader = dict(dataset=dict(datasets=_base_.semi_sources))
custom_hooks = [*_base_.custom_hooks, *_base_.pseudo_label_hooks]
default_hooks = _base_.short_hooks
