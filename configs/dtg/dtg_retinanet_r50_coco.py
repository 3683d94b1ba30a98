"""DTG on a one-stage detector: RetinaNet R50-FPN, 10 % of the labels of COCO.

Command: tools/dist_train.sh dtg/dtg_retinanet_r50_coco.py 8
Published AP: none; the paper names one-stage detectors without numbers.
"""

_base_ = [
    "../_base_/retinanet_r50_fpn.py",
    "../_base_/coco.py",
    "./dtg.py",
]

max_iters = 180_000
# One stage, one set of clusters: all anchors and classes.
model = dict(detector=_base_.detector, dense=dict(_delete_=True, head=dict(tau=0.45)))
train_dataloader = dict(dataset=dict(datasets=[_base_.labelled, _base_.unlabelled]))
