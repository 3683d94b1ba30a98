"""Half-width ResNet-18-FPN with group norm, for other model files.

Trains from random weights: nothing is frozen and group norm does not mind that a
batch holds two views of very different statistics.
"""

strides = [8, 16, 32]
group_norm = dict(type="GN", num_groups=8, requires_grad=True)
resnet18 = dict(
    type="ResNet",
    depth=18,
    base_channels=24,
    stem_channels=24,
    num_stages=4,
    out_indices=(1, 2, 3),
    frozen_stages=-1,
    norm_cfg=group_norm,
    norm_eval=False,
)
fpn = dict(type="FPN", in_channels=[48, 96, 192], out_channels=64, num_outs=3)
