# Views of the certainty-aware family: flip for the teacher; flip, colour jitter,
# Gaussian blur and Cutout for the student. Take an entry out of strong_view (or the
# colour key of its RandomView) to switch that augmentation off. The amounts are not
# printed in the paper: these are the usual ones of its time.
_base_ = "./common.py"

scale = (1333, 800)  # (long, short) limits; flip_cutout_multiscale.py: 640-800
test_scale = (1333, 800)

random_view = dict(type="RandomView", scale=scale, flip_prob=0.5)
jitter = dict(
    type="ColourJitter", brightness=0.4, contrast=0.4, saturation=0.4, hue=0.1, prob=0.8
)

labelled_view = [random_view, *_base_.pack_labelled]
weak_view = [random_view, *_base_.pack]
strong_view = [
    dict(random_view, colour=jitter),
    dict(type="RandomBlur", sigma=(0.1, 2.0), prob=0.5),
    dict(type="ErasePatches", num=(1, 5), ratio=(0.05, 0.2)),
    *_base_.pack,
]

# For plain detectors; for the labelled and the unlabelled half of a batch; for tests.
load, load_labelled = _base_.load, _base_.load_labelled
supervised_pipeline = [*load_labelled, *labelled_view]
sup_pipeline = [*load_labelled, dict(type="LabelledView", pipeline=labelled_view)]
unsup_pipeline = [*load, dict(type="TwoViews", weak=weak_view, strong=strong_view)]
test_resize = dict(type="Resize", scale=test_scale, keep_ratio=True)
test_pipeline = [*load, test_resize, *_base_.pack_test]

# What inheriting configs see: the sizes and the pipelines.
del random_view, jitter, labelled_view, weak_view, strong_view
del load, load_labelled, test_resize
