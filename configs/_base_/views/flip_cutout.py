# Views of the certainty-aware family: flip for the teacher; flip, colour jitter,
# Gaussian blur and Cutout for the student. Take an entry out of strong_view (or the
# colour key of its RandomView) to switch that augmentation off. The amounts are not
# printed in the paper: these are the usual ones of its time.
scale = (1333, 800)  # (long, short) limits; flip_cutout_multiscale.py: 640-800
test_scale = (1333, 800)

labelled_view = [
    dict(type="RandomView", scale=scale, flip_prob=0.5),
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
        colour=dict(
            type="ColourJitter",
            brightness=0.4,
            contrast=0.4,
            saturation=0.4,
            hue=0.1,
            prob=0.8,
        ),
    ),
    dict(type="RandomBlur", sigma=(0.1, 2.0), prob=0.5),
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
del labelled_view, weak_view, strong_view
