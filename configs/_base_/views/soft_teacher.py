# Views of the Soft Teacher family: resize over a wide range and flip everywhere; one
# colour operation on the labelled view; one colour and one geometric operation and
# 1-5 erased patches on the strong view. What lies outside an image is grey 114.
_base_ = "./common.py"

scale = [(1333, 400), (1333, 1200)]  # (long, short) limits, both drawn in between
test_scale = (1333, 800)

random_view = dict(type="RandomView", scale=scale, flip_prob=0.5)
one_colour = dict(type="OneColour")  # all nine operations, reference ranges
one_affine = [
    dict(op="rotate", range=(0.0, 30.0)),
    dict(op="shear_x", range=(0.0, 30.0)),
    dict(op="shear_y", range=(0.0, 30.0)),
    dict(op="translate_x", range=(0.0, 0.1)),
    dict(op="translate_y", range=(0.0, 0.1)),
]

labelled_view = [dict(random_view, colour=one_colour), *_base_.pack_labelled]
weak_view = [random_view, *_base_.pack]
strong_view = [
    dict(random_view, affine=one_affine, colour=one_colour),
    dict(type="ErasePatches", num=(1, 5), ratio=(0.0, 0.2)),
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
del random_view, one_colour, one_affine, labelled_view, weak_view, strong_view
del load, load_labelled, test_resize
