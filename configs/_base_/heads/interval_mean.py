"""Box head of box sides as intervals, its loss a mean over the four sides."""

_base_ = "./interval.py"

# At 1 the interval loss, a sum over four sides, is four times the L1 loss
# that it replaces, and under SGD classes are learnt late.
head = dict(roi_head=dict(bbox_head=dict(seg_weight=0.25)))
