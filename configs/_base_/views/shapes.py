# The views of small.py at the size of the embedded data set's images.
_base_ = "./small.py"

scale = (160, 128)
test_scale = scale

labelled_view, weak_view, strong_view = (
    [dict(step, scale=scale) if step.type == "RandomView" else step for step in view]
    for view in (
        _base_.sup_pipeline[-1].pipeline,
        _base_.unsup_pipeline[-1].weak,
        _base_.unsup_pipeline[-1].strong,
    )
)
supervised_pipeline = [*_base_.sup_pipeline[:-1], *labelled_view]
sup_pipeline = [
    *_base_.sup_pipeline[:-1],
    dict(type="LabelledView", pipeline=labelled_view),
]
unsup_pipeline = [
    *_base_.unsup_pipeline[:-1],
    dict(type="TwoViews", weak=weak_view, strong=strong_view),
]
test_pipeline = [
    dict(step, scale=test_scale) if step.type == "Resize" else step
    for step in _base_.test_pipeline
]

# What inheriting configs see: the sizes and the pipelines.
del labelled_view, weak_view, strong_view
