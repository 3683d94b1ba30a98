# Views of DTG-SSOD (figure 5): flip, resize and one of solarize, brightness, contrast
# and sharpness jitter everywhere; on the strong view also one of translation, rotation
# and shear, and 1-5 erased patches. The figure's resize ratio (0.5, 1.5) of a short
# side of 800 is 400-1200. The labelled view is that of Soft Teacher, whose
# augmentations the paper borrows, with these colour operations. Outside is grey 114.
_base_ = "./soft_teacher.py"

one_colour = dict(
    type="OneColour", ops=["solarize", "brightness", "contrast", "sharpness"]
)
one_affine = [
    dict(op=["translate_x", "translate_y"], range=(0.0, 0.1)),
    dict(op="rotate", range=(0.0, 30.0)),
    dict(op=["shear_x", "shear_y"], range=(0.0, 30.0)),
]

_base_.supervised_pipeline[2].colour = one_colour
_base_.sup_pipeline[-1].pipeline[0].colour = one_colour
# Section 3.1 names flip and resize alone for the weak view, figure 5 one colour
# operation too. With it one pair of runs was slightly better.
_base_.unsup_pipeline[-1].weak[0].colour = one_colour
student_view, erased = _base_.unsup_pipeline[-1].strong[:2]
student_view.update(colour=one_colour, affine=one_affine)
erased.ratio = (0.05, 0.2)

# What inheriting configs see: the sizes and the pipelines.
del one_colour, one_affine, student_view, erased
