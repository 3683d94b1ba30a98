"""LER and PRC on the embedded shapes: small Gaussian Faster R-CNN, 5 % of the labels.

Command: python tools/train.py
         lerprc/lerprc_faster-rcnn_r18_shapes.py
Data:    python tools/make_shapes.py --out data/shapes
"""

_base_ = [
    "../_base_/shapes.py",
    "../_base_/short_teacher.py",
]

teacher_config = "supervised/supervised_faster-rcnn-gaussian_r18_shapes.py"
_base_.detector.roi_head.bbox_head = _base_.gaussian_head
model = dict(
    type="LerPrcTeacher",
    detector=_base_.detector,
    # A quarter of equation 11: so was this measured.
    ler=dict(quality=True, reg_norm="foreground", gain=0.25),
    prc=dict(quality=True, cls_norm="separate"),
    semi_train_cfg=dict(
        box_hull="ellipse",  # round shapes leave the corners of their boxes empty
        ignore_thr=0.15,
        score_thr=0.8,  # as the plain mean teacher here
    ),
)
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
