"""The certainty-aware method as its paper trains it: on 4 GPUs x 2 images.

They are drawn from the union of labelled and unlabelled ones.
"""

_base_ = ["./mean_teacher.py", "./certainty.py"]

_base_.method.semi_train_cfg.weight_by_images = True
model = dict(_base_.method, data_preprocessor=dict(type="BranchDataPreprocessor"))

train_dataloader = dict(batch_size=2, num_workers=4, sampler=dict(source_ratio=[1]))
auto_scale_lr = dict(base_batch_size=8)
teacher_options = {"train_dataloader.batch_size": 2}

custom_hooks = [*_base_.run_hooks, *_base_.method_hooks]
# The frozen teacher does not change: only the student is worth a look.
val_cfg = dict(models=["student"])
default_hooks = dict(checkpoint=dict(save_best="student/coco/bbox_mAP"))
