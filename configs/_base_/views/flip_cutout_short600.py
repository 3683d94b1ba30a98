# flip_cutout.py with a short side of 600: VOC of the certainty-aware paper.
_base_ = "./flip_cutout.py"

scale = (1333, 600)  # (long, short) limits
test_scale = (1333, 600)

labelled, both = _base_.sup_pipeline[-1].pipeline, _base_.unsup_pipeline[-1]
for view in (_base_.supervised_pipeline[2], labelled[0], both.weak[0], both.strong[0]):
    view.scale = scale
_base_.test_pipeline[1].scale = test_scale

del labelled, both, view
