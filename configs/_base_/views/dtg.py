# Views of DTG-SSOD (figure 5): flip and resize everywhere; on the strong view one of
# solarize, brightness, contrast and sharpness jitter, one of translation, rotation
# and shear, and 1-5 erased patches. The figure's resize ratio (0.5, 1.5) of a short
# side of 800 is 400-1200. The labelled view is that of Soft Teacher, whose
# augmentations the paper borrows, with these colour operations. Outside is grey 114.
scale = [(1333, 400), (1333, 1200)]  # (long, short) limits, both drawn in between
test_scale = (1333, 800)

one_colour = dict(
    type="OneColour", ops=["solarize", "brightness", "contrast", "sharpness"]
)
one_affine = [
    dict(op=["translate_x", "translate_y"], range=(0.0, 0.1)),
    dict(op="rotate", range=(0.0, 30.0)),
    dict(op=["shear_x", "shear_y"], range=(0.0, 30.0)),
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
    dict(type="ErasePatches", num=(1, 5), ratio=(0.05, 0.2)),
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
