"""The towers of a model of pairs: from the items of one side to tokens [n, t, width] and their mask."""

import torch
from torch import Tensor, nn

from pointwise.errors import InputError
from pointwise.training.heads import seeded
from pointwise.training.inputs import Inputs

_REACH = 4.0  # deviations beyond which coordinates do not grow, or an outlier could have a weight of e^10


class FrozenTokens(nn.Module):
    """The tower of token features that an encoder made before: each token is standardised, and no more."""

    kind = "frozen_tokens"

    def __init__(self, *, width: int) -> None:
        super().__init__()
        self.width = self.columns = width
        self.settings = {"width": width}
        self.norm = nn.LayerNorm(width)

    def forward(self, tokens: Inputs) -> tuple[Tensor, Tensor | None]:
        """Return tokens [n, t, width] in the precision of the weights, and their mask."""
        return self.norm(tokens.x.to(self.norm.weight.dtype)), tokens.mask


class CanonicalAxes(nn.Module):
    r"""The tower of the rows of a table: coordinates z on some axes, a constant, and squares.

    .. math:: z = A^\top (x - \mu), \qquad \bigl(z,\; 1,\; 0.3\,(z^2 - 1)\bigr)

    with z cut to [-4, 4], where nearly all of a Gaussian lies. The constant lets a head move its points off the centre.
    The squares let it weigh them by how rare a row is, which pointwise mutual information asks for even where all is
    Gaussian.
    """

    kind = "canonical_axes"
    mean: Tensor
    directions: Tensor

    def __init__(self, *, columns: int, axes: int) -> None:
        super().__init__()
        self.width, self.columns = 2 * axes + 1, columns
        self.settings = {"columns": columns, "axes": axes}
        self.register_buffer("mean", torch.zeros(columns, dtype=torch.float64))
        self.register_buffer("directions", torch.zeros(columns, axes, dtype=torch.float64))

    def forward(self, rows: Inputs) -> tuple[Tensor, Tensor | None]:
        """Return tokens, float64 [n, t, 2 r + 1], of rows [n, t, columns], and their mask."""
        z = (rows.x.double() - self.mean) @ self.directions  # in float32 a common offset would eat the digits
        z = z.clamp(-_REACH, _REACH)
        return torch.cat([z, torch.ones_like(z[..., :1]), 0.3 * (z.square() - 1)], dim=-1), rows.mask


class VisionTransformer(nn.Module):
    """A token of this width for each patch of a picture; heads of attention: one for each 64 of the width if left out.

    Reference: Dosovitskiy et al. (2021), ViT. https://arxiv.org/abs/2010.11929; without a class token, as Beyer et al.
    (2022), https://arxiv.org/abs/2205.01580, have it.
    """

    kind, columns = "vision_transformer", None

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
            self.blocks = _blocks(width, depth=depth, heads=heads)
            self.norm = nn.LayerNorm(width)

    def forward(self, images: Inputs) -> tuple[Tensor, Tensor | None]:
        """Return the tokens [n, t, width] of pictures, uint8 [n, 3, image_size, image_size]."""
        pixels = images.x.to(self.position.dtype) / 127.5 - 1
        z = self.patches(pixels).flatten(2).transpose(1, 2) + self.position  # [n, t, width]
        for block in self.blocks:
            z = block(z)
        return self.norm(z), None


class TextTransformer(nn.Module):
    """A causal transformer over token ids, at most a context of them: each token sees those before it.

    Reference: Radford et al. (2021), CLIP. https://arxiv.org/abs/2103.00020
    """

    kind, columns = "text_transformer", None

    def __init__(
        self,
        *,
        vocabulary: int,
        context: int = 77,
        width: int = 192,
        depth: int = 4,
        heads: int | None = None,
        seed: int = 0,
    ) -> None:
        super().__init__()
        self.width, self.context = width, context
        sizes = {"vocabulary": vocabulary, "context": context}
        self.settings = {**sizes, "width": width, "depth": depth, "heads": heads}
        with seeded(seed):
            self.embedding = nn.Embedding(vocabulary, width)
            nn.init.normal_(self.embedding.weight, std=0.02)
            self.position = nn.Parameter(torch.randn(context, width) * 0.01)
            self.blocks = _blocks(width, depth=depth, heads=heads)
            self.norm = nn.LayerNorm(width)

    def forward(self, texts: Inputs) -> tuple[Tensor, Tensor | None]:
        """Return the tokens [n, t, width] of ids [n, t], and which of them are not padding.

        Padding follows a text, so that no token of it sees any.
        """
        t = texts.x.shape[1]
        z = self.embedding(texts.x) + self.position[:t]
        unseen = torch.ones(t, t, dtype=torch.bool, device=z.device).triu(1)
        for block in self.blocks:
            z = block(z, src_mask=unseen, is_causal=True)
        return self.norm(z), texts.mask


def _blocks(width: int, *, depth: int, heads: int | None) -> nn.ModuleList:
    """Pre-norm transformer blocks, each with weights of its own (nn.TransformerEncoder copies one)."""
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


Tower = FrozenTokens | CanonicalAxes | VisionTransformer | TextTransformer
TOWERS: dict[str, type[Tower]] = {
    tower.kind: tower for tower in (FrozenTokens, CanonicalAxes, VisionTransformer, TextTransformer)
}
