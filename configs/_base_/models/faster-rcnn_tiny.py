"""What the two tiny Faster R-CNNs share: RGB images, normalised as ImageNet's are."""

_base_ = "./faster-rcnn_r50_fpn.py"

pixels = dict(
    mean=[123.675, 116.28, 103.53], std=[58.395, 57.12, 57.375], bgr_to_rgb=True
)
student = dict(
    detector=dict(data_preprocessor=pixels),
    data_preprocessor=dict(data_preprocessor=pixels),
)

del pixels
