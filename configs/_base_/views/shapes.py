# The views of small.py at the size of the embedded data set's images.
_base_ = "./small.py"

scale = (160, 128)
test_scale = scale

labelled, both = _base_.sup_pipeline[-1].pipeline, _base_.unsup_pipeline[-1]
for view in (_base_.supervised_pipeline[2], labelled[0], both.weak[0], both.strong[0]):
    view.scale = scale
_base_.test_pipeline[1].scale = test_scale

del labelled, both, view
