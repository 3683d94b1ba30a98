"""Box head that classifies RoIs by sigmoid focal loss, for few labels."""

_base_ = "./focal_classifier_few_labels.py"

head = dict(roi_head=dict(bbox_head=_base_.classifier))
