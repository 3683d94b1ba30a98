"""LER and PRC: thresholds and weights by class, as in the certainty-aware method."""

_base_ = "./lerprc_gfrcnn_mnv2_short_folder_p10.py"

# As there: s_loc is below 0.5, and an average by count would push all weights up.
model = dict(class_balance=dict(type="ClassBalance", floor=0.5, average="evidence"))
