"""Box head that classifies RoIs by focal loss, for few labels of a small data set."""

_base_ = "./focal.py"

# A batch of few objects divides the loss of all its background by little: at full
# weight the first gradients are ten times a softmax head's, and clipped. On the
# aquarium AP after 400 and 800 iterations 1.1 and 4.5 at weight 1, 2.7 and 5.3 at 0.5.
head = dict(roi_head=dict(bbox_head=dict(loss_cls=dict(loss_weight=0.5))))
