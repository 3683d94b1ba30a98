"""Focal classification of RoIs for few labels: a part of box heads of any type."""

# Of few labels a batch has few foreground candidates at first: divided by their number,
# the background's gradient is ten times a softmax head's, and clipped. Divided by all
# candidates, with a weight that makes it the same where a quarter is foreground. From a
# first probability of 0.01 such a head lags behind a softmax one for hundreds of steps.
classifier = dict(
    loss_cls=dict(_delete_=True, type="FocalRoILoss", norm="all", loss_weight=4.0),
    cls_predictor_cfg=dict(type="PriorLinear", prior=0.1),
)
