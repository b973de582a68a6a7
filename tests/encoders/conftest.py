"""What lets torchvision be imported beside a build of torch that it was not compiled for: PyPI's beside the CPU build.

Its transforms need no compiled code; the package only wants two operators of boxes to be there.
"""

from importlib import import_module
from importlib.util import find_spec

import torch

if find_spec("torchvision") is not None:
    try:
        import_module("torchvision")
    except RuntimeError:
        _operators = torch.library.Library("torchvision", "FRAGMENT")  # they are there as long as this object
        _operators.define("nms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
        _operators.define("qnms(Tensor dets, Tensor scores, float iou_threshold) -> Tensor")
