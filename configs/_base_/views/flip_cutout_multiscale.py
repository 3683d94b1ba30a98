# flip_cutout.py with the short side drawn from 640-800 while training. The same lines
# give any other size: change scale (and test_scale with test_pipeline[1].scale).
_base_ = "./flip_cutout.py"

scale = [(1333, 640), (1333, 800)]  # (long, short) limits, both drawn in between

labelled, both = _base_.sup_pipeline[-1].pipeline, _base_.unsup_pipeline[-1]
for view in (_base_.supervised_pipeline[2], labelled[0], both.weak[0], both.strong[0]):
    view.scale = scale

del labelled, both, view
