"""VisionTransformer: pictures to tokens, of PyTorch's own blocks."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pointwise.errors import InputError
from pointwise.training.heads import seeded
from pointwise.training.inputs import Inputs


class VisionTransformer(nn.Module):
    """A token for each patch of a picture.

    Args:
        image_size: height and width of the pictures.
        patch: height and width of a patch.
        width: of a token.
        depth: number of blocks.
        heads: of attention; one for each 64 of the width if left out.
        seed: of the weights that it starts with.

    Raises:
        InputError: the patches do not fill the picture, or the heads do not share the width.

    Reference: Dosovitskiy et al. (2021), ViT. https://arxiv.org/abs/2010.11929; without a class token, as Beyer et al.
    (2022), https://arxiv.org/abs/2205.01580, have it.
    """

    kind = "vision_transformer"

    def __init__(
        self,
        *,
        image_size: int = 64,
        patch: int = 8,
        width: int = 192,
        depth: int = 4,
        heads: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if patch < 1 or image_size < 1 or image_size % patch:
            raise InputError(
                f"patches of {patch} x {patch} do not fill a picture of {image_size} x {image_size} pixels; the image "
                "size must be a multiple of the patch."
            )
        self.width, self.image_size = width, image_size
        self.settings = {"image_size": image_size, "patch": patch, "width": width, "depth": depth, "heads": heads}
        with seeded(seed):
            self.patches = nn.Conv2d(3, width, kernel_size=patch, stride=patch)
            self.position = nn.Parameter(torch.randn((image_size // patch) ** 2, width) * 0.02)
            self.blocks = blocks(width, depth=depth, heads=heads)
            self.norm = nn.LayerNorm(width)

    def forward(self, images: Inputs) -> tuple[Tensor, Tensor | None]:
        """Return the tokens [n, t, width] of pictures, uint8 [n, 3, image_size, image_size]."""
        pixels = images.x.to(self.position.dtype) / 127.5 - 1
        z = self.patches(pixels).flatten(2).transpose(1, 2) + self.position  # [n, t, width]
        for block in self.blocks:
            z = block(z)
        return self.norm(z), None


def blocks(width: int, *, depth: int, heads: int | None) -> nn.ModuleList:
    """Return pre-norm transformer blocks, each with weights of its own (nn.TransformerEncoder copies one).

    Raises:
        InputError: there are none, or the heads do not share the width.
    """
    heads = heads or max(1, width // 64)
    if width < 1 or depth < 1 or width % heads:
        raise InputError(
            f"a transformer of width {width}, depth {depth} and {heads} heads cannot be made; each must be at least 1 "
            "and the width a multiple of the heads."
        )
    return nn.ModuleList(
        nn.TransformerEncoderLayer(
            width, heads, 4 * width, dropout=0.0, activation="gelu", batch_first=True, norm_first=True
        )
        for _ in range(depth)
    )
