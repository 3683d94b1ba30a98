"""DTG: focal Faster R-CNN R50-FPN, VOC07 labelled, VOC12 and COCO-20 unlabelled.

Command: tools/dist_train.sh dtg/dtg_ffrcnn_r50_90k_voc_coco20.py 8
Published: AP50 80.63, AP 54.58 (table 4).
"""

_base_ = [
    "../_base_/models/faster-rcnn_r50_fpn_focal.py",
    "../_base_/datasets/voc_coco20.py",
    "../_base_/views/dtg.py",
    "../_base_/schedules/90k.py",
    "../_base_/methods/dtg.py",
]

percent = 100

detector = _base_.model
detector.roi_head.bbox_head.num_classes = _base_.num_classes
model = dict(
    _delete_=True,
    **_base_.semi_detector,
    detector=detector,
    data_preprocessor=dict(
        type="MultiBranchDataPreprocessor",
        data_preprocessor=detector.data_preprocessor,
    ),
)

train_dataloader = dict(
    dataset=dict(
        datasets=[
            dict(_base_.labelled, pipeline=_base_.sup_pipeline),
            # One source, so that the four unlabelled images come from the union.
            dict(
                type="SeededConcatDataset",
                datasets=[
                    dict(_base_.unlabelled, pipeline=_base_.unsup_pipeline),
                    dict(_base_.unlabelled_coco20, pipeline=_base_.unsup_pipeline),
                ],
            ),
        ]
    ),
)
val_dataloader = dict(dataset=dict(pipeline=_base_.test_pipeline))
test_dataloader = val_dataloader

custom_hooks = [
    *_base_.custom_hooks,
    dict(type="DrawPseudoLabelsHook", interval=5000),
]
