"""Faster R-CNN R50-FPN with the interval box head, 10 % of the labels of COCO.

Command: tools/dist_train.sh supervised/supervised_ifrcnn_r50_60k_coco_p10.py 8
Published AP: none with this head; 23.86 with the plain one (certainty-aware paper).
The paper's first phase: its checkpoint is the teacher of the second.
"""

_base_ = ["../_base_/recipes/first_phase_coco_partial.py", "../_base_/schedules/60k.py"]

percent = 10
