"""TextTransformer: token ids to tokens, of PyTorch's own blocks, each token seeing those before it."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from pointwise.training.heads import seeded
from pointwise.training.inputs import Inputs
from pointwise.training.vision import blocks


class TextTransformer(nn.Module):
    """A causal transformer over token ids.

    Args:
        vocabulary: number of ids.
        context: the most tokens of a text.
        width: of a token.
        depth: number of blocks.
        heads: of attention; one for each 64 of the width if left out.
        seed: of the weights that it starts with.

    Raises:
        InputError: the heads do not share the width.

    Reference: Radford et al. (2021), CLIP. https://arxiv.org/abs/2103.00020
    """

    kind = "text_transformer"

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
        self.settings = {
            "vocabulary": vocabulary,
            "context": context,
            "width": width,
            "depth": depth,
            "heads": heads,
        }
        with seeded(seed):
            self.embedding = nn.Embedding(vocabulary, width)
            nn.init.normal_(self.embedding.weight, std=0.02)
            self.position = nn.Parameter(torch.randn(context, width) * 0.01)
            self.blocks = blocks(width, depth=depth, heads=heads)
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
