"""Mean teacher on all your labels and a plain folder of images without a json.

Command: python tools/train.py
         mean_teacher/mean_teacher_faster-rcnn_mnv2_folder_images.py
         --cfg-options data_root=DATA pretrained=WEIGHTS
Data:    DATA/unlabelled/ holds the images, in any subfolders.
"""

_base_ = [
    "../_base_/folder.py",
    "../_base_/short_teacher.py",
]

percent = 100
hidden_ann_file = None  # nobody knows the true boxes of these images
labelled = dict(_base_.labelled, ann_file="annotations/instances_train.json")
unlabelled = dict(
    type="ImageFolderDataset",
    data_root="{data_root}",
    data_prefix=dict(img="unlabelled"),
    read_sizes=True,
    pipeline="unlabelled",
)

teacher_config = "supervised/supervised_faster-rcnn_mnv2_folder.py"
teacher_options = {
    "train_dataloader.dataset.datasets.0.ann_file": "annotations/instances_train.json"
}
model = dict(
    type="MeanTeacher",
    detector=_base_.detector,
    semi_train_cfg=dict(
        ignore_thr=0.2,
        unsup_loss_weights=dict(loss_rpn_bbox=0.0, loss_bbox=0.0),
    ),
)
train_dataloader = dict(dataset=dict(datasets=[labelled, unlabelled]))
