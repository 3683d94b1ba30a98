"""Faster R-CNN R50-FPN with the interval box head, 2 % of the labels of COCO.

Command: tools/dist_train.sh supervised/supervised_ifrcnn_r50_12k_coco_p02.py 8
Published AP: none with this head; 12.70 with the plain one (certainty-aware paper).
The paper's first phase: its checkpoint is the teacher of the second.
"""

_base_ = ["../_base_/recipes/first_phase_coco_partial.py", "../_base_/schedules/12k.py"]

percent = 2
