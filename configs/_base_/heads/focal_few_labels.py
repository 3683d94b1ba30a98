"""Box head that classifies RoIs by sigmoid focal loss, for few labels."""

_base_ = "./focal.py"

# Of few labels a batch has few foreground candidates at first: divided by their number,
# the background's gradient is ten times a softmax head's, and clipped. Divided by all
# candidates, with a weight that makes it the same where a quarter is foreground. From a
# first probability of 0.01 such a head lags behind a softmax one for hundreds of steps.
head = dict(
    roi_head=dict(
        bbox_head=dict(
            loss_cls=dict(norm="all", loss_weight=4.0),
            cls_predictor_cfg=dict(prior=0.1),
        )
    )
)
