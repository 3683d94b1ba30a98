"""DTG: thresholds and weights by class, as in the certainty-aware method."""

_base_ = "./dtg_ffrcnn_mnv2_short_folder_p10.py"

model = dict(class_balance=dict(type="ClassBalance", use_loc=False, average="evidence"))
