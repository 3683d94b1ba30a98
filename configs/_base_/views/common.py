# What all views share: how they begin and end. The files beside this one splice it.
load = [dict(type="LoadImage")]
load_labelled = [*load, dict(type="LoadAnnotations", with_bbox=True)]
pack = [dict(type="PackView")]
pack_labelled = [
    dict(type="FilterAnnotations", min_gt_bbox_wh=(1e-2, 1e-2), keep_empty=False),
    *pack,
]
pack_test = [
    dict(type="LoadAnnotations", with_bbox=True),
    dict(
        type="PackDetInputs",
        meta_keys=("img_id", "img_path", "ori_shape", "img_shape", "scale_factor"),
    ),
]
