"""Mean teacher on all your labels and a plain folder of images without a json.

Command: python tools/train.py
         mean_teacher/mean_teacher_frcnn_mnv2_short_folder_images.py
         --cfg-options data_root=DATA num_classes=N pretrained=WEIGHTS
Data:    DATA/unlabelled/ holds the images, in any subfolders.
"""

_base_ = "./mean_teacher_frcnn_mnv2_short_folder_p10.py"

percent = 100

train_dataloader = dict(
    dataset=dict(
        datasets=[
            dict(
                _base_.labelled,
                ann_file="annotations/instances_train.json",
                pipeline=_base_.sup_pipeline,
            ),
            dict(
                type="ImageFolderDataset",
                data_root=_base_.data_root,
                data_prefix=dict(img="unlabelled"),
                read_sizes=True,
                pipeline=_base_.unsup_pipeline,
            ),
        ]
    )
)
# Nobody knows the true boxes of these images.
custom_hooks = [
    hook for hook in _base_.custom_hooks if hook["type"] != "PseudoLabelQualityHook"
]
custom_hooks[-1].pop("ann_file")
