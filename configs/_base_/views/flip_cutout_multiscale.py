# flip_cutout.py with the short side drawn from 640-800 while training. The same lines
# give any other size: change scale (and test_scale with test_pipeline[1].scale).
_base_ = "./flip_cutout.py"

scale = [(1333, 640), (1333, 800)]  # (long, short) limits, both drawn in between

supervised_pipeline = _base_.supervised_pipeline
supervised_pipeline[2].scale = scale
sup_pipeline = _base_.sup_pipeline
sup_pipeline[-1].pipeline[0].scale = scale
unsup_pipeline = _base_.unsup_pipeline
unsup_pipeline[-1].weak[0].scale = scale
unsup_pipeline[-1].strong[0].scale = scale
