"""Ablation: images are drawn from the union of labelled and unlabelled ones."""

_base_ = "./certainty_ifrcnn_mnv2_short_folder_p10.py"

train_dataloader = dict(sampler=dict(source_ratio=[1]))
model = dict(
    semi_train_cfg=dict(weight_by_images=True),
    data_preprocessor=dict(type="BranchDataPreprocessor"),
)
