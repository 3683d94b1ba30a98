# Views of the Soft Teacher family: resize over a wide range and flip everywhere; one
# colour operation on the labelled view; one colour and one geometric operation and
# 1-5 erased patches on the strong view. What lies outside an image is grey 114.
scale = [(1333, 400), (1333, 1200)]  # (long, short) limits, both drawn in between
test_scale = (1333, 800)

one_colour = dict(type="OneColour")  # all nine operations, reference ranges
one_affine = [
    dict(op="rotate", range=(0.0, 30.0)),
    dict(op="shear_x", range=(0.0, 30.0)),
    dict(op="shear_y", range=(0.0, 30.0)),
    dict(op="translate_x", range=(0.0, 0.1)),
    dict(op="translate_y", range=(0.0, 0.1)),
]

labelled_view = [
    dict(type="RandomView", scale=scale, flip_prob=0.5, colour=one_colour),
    dict(type="FilterAnnotations", min_gt_bbox_wh=(1e-2, 1e-2), keep_empty=False),
    dict(type="PackView"),
]
weak_view = [
    dict(type="RandomView", scale=scale, flip_prob=0.5),
    dict(type="PackView"),
]
strong_view = [
    dict(
        type="RandomView",
        scale=scale,
        flip_prob=0.5,
        affine=one_affine,
        colour=one_colour,
    ),
    dict(type="ErasePatches", num=(1, 5), ratio=(0.0, 0.2)),
    dict(type="PackView"),
]

# For plain detectors; for the labelled and the unlabelled half of a batch; for tests.
supervised_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadAnnotations", with_bbox=True),
    *labelled_view,
]
sup_pipeline = [
    dict(type="LoadImage"),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(type="LabelledView", pipeline=labelled_view),
]
unsup_pipeline = [
    dict(type="LoadImage"),
    dict(type="TwoViews", weak=weak_view, strong=strong_view),
]
test_pipeline = [
    dict(type="LoadImage"),
    dict(type="Resize", scale=test_scale, keep_ratio=True),
    dict(type="LoadAnnotations", with_bbox=True),
    dict(
        type="PackDetInputs",
        meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
    ),
]

# What inheriting configs see: the sizes and the pipelines.
del one_colour, one_affine, labelled_view, weak_view, strong_view
