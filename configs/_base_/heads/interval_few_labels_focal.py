"""Box head of box sides as intervals and focal classification, for few labels."""

_base_ = ["./interval_few_labels.py", "./focal_classifier_few_labels.py"]

head = dict(roi_head=dict(bbox_head=_base_.classifier))
