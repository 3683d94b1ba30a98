"""180,000 iterations at half the learning rate of Faster R-CNN, for one stage."""

_base_ = "./180k.py"

optim_wrapper = dict(
    optimizer=dict(lr=0.005), clip_grad=dict(max_norm=35.0, norm_type=2)
)
