"""Features of a judgment set: each of its images and texts encoded once."""

from dataclasses import dataclass
from functools import partial

import torch

from pointwise._types import Progress, Say
from pointwise.encoders.protocol import Encoder, TextEncoder
from pointwise.encoding import encode
from pointwise.errors import InputError
from pointwise.judgments.protocol import Judgments

_TEXTS_AT_ONCE = 256


@dataclass(frozen=True, eq=False)
class Features:
    """What encoders make of a set: float32 of unit length, row by row its images and its texts after the prefix."""

    images: torch.Tensor  # [a, d]
    texts: torch.Tensor  # [b, e]
    shortened: int = 0  # how many texts have more tokens than the encoder reads


def encode_judgments(
    judged: Judgments,
    encoder: Encoder,
    text_encoder: TextEncoder,
    *,
    prefix: str | None = None,
    say: Say | None = None,
    progress: Progress | None = None,
) -> Features:
    """Return the features of all images and texts of a set, with the prefix before each text.

    A prefix of None is the one that the set was published with. say is called with a sentence for each thing to know,
    such as texts that were cut; progress with (what is under way, items done, items in all).
    """
    prefix = judged.prefix if prefix is None else prefix
    texts = [prefix + text for text in judged.texts]
    rows, shortened = [], 0
    for start in range(0, len(texts), _TEXTS_AT_ONCE):
        batch = texts[start : start + _TEXTS_AT_ONCE]
        shortened += sum(count > text_encoder.max_tokens for count in text_encoder.count_tokens(batch))
        rows.append(text_encoder.encode(batch))
        if progress is not None:
            progress("texts", start + len(batch), len(texts))
    steps = None if progress is None else partial(progress, "images")
    images = encode(judged.images, encoder=encoder, say=say, progress=steps).features
    if shortened and say is not None:
        say(
            f"{shortened} of {len(texts)} texts have more than the {text_encoder.max_tokens} tokens that "
            f"{text_encoder.name} reads; their ends were cut."
        )
    return Features(_unit(images, "image", encoder), _unit(torch.cat(rows), "text", text_encoder), shortened)


def _unit(rows: torch.Tensor, what: str, encoder: Encoder | TextEncoder) -> torch.Tensor:
    rows = rows.float()
    lengths = torch.linalg.vector_norm(rows, dim=1, keepdim=True)
    bad = (~(lengths > 0) | ~torch.isfinite(lengths)).flatten().nonzero().flatten()
    if len(bad):
        raise InputError(
            f"{encoder.name} gives {len(bad)} of {len(rows)} {what}s features that are all zeros or not finite, "
            f"the first is {what} {int(bad[0])}; they have no direction. Take another encoder."
        )
    directions: torch.Tensor = rows / lengths
    return directions
