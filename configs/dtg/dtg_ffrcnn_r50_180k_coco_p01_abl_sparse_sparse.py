"""DTG: the sparse-to-dense baseline with 1 % of the labels of COCO (table 2d).

Published AP: 21.1.
"""

_base_ = "./dtg_ffrcnn_r50_180k_coco_p10_abl_sparse_sparse.py"

percent = 1
