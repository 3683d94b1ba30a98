"""Faster R-CNN R50-FPN with the interval box head, all labels of COCO, 3x.

Command: tools/dist_train.sh supervised/supervised_ifrcnn_r50_540k_coco_full.py 8
Published AP: none with this head; 40.2 with the plain one (certainty-aware paper).
The first phase of the certainty-aware paper: its checkpoint is the teacher.
"""

_base_ = ["../_base_/recipes/first_phase_coco_full.py", "../_base_/schedules/540k.py"]
