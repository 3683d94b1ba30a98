# flip_cutout.py with a short side of 600: VOC of the certainty-aware paper.
_base_ = "./flip_cutout.py"

scale = (1333, 600)  # (long, short) limits
test_scale = (1333, 600)

supervised_pipeline = _base_.supervised_pipeline
supervised_pipeline[2].scale = scale
sup_pipeline = _base_.sup_pipeline
sup_pipeline[-1].pipeline[0].scale = scale
unsup_pipeline = _base_.unsup_pipeline
unsup_pipeline[-1].weak[0].scale = scale
unsup_pipeline[-1].strong[0].scale = scale
test_pipeline = _base_.test_pipeline
test_pipeline[1].scale = test_scale
