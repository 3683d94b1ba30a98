"""DTG with the interval head: kept boxes chosen by p alone."""

_base_ = "./dtg_ifrcnn_mnv2_short_folder_p10.py"

model = dict(dense=dict(rcnn=dict(kept_by="p")))
