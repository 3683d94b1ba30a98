# Soft Teacher views for small images (long side about 350): 304 x 228 on average.
# The padding to a multiple of 32 is left to the model's data preprocessor.
_base_ = "./soft_teacher.py"

scale = (304, 228)  # (long, short) limits ...
scale_ratio = (0.75, 1.25)  # ... and the range of the factor on both
test_scale = scale

labelled, both = _base_.sup_pipeline[-1].pipeline, _base_.unsup_pipeline[-1]
for view in (_base_.supervised_pipeline[2], labelled[0], both.weak[0], both.strong[0]):
    view.update(scale=scale, ratio=scale_ratio)
_base_.test_pipeline[1].scale = test_scale

del labelled, both, view
