"""Encoders by name."""

from __future__ import annotations

import difflib

import torch

from pointwise.encoders import bundled, pixels
from pointwise.encoders.protocol import Encoder
from pointwise.errors import InputError

ENCODERS = ("bundled", "efficientnet-lite0", "pixels")


def load_encoder(name: str, *, device: str | torch.device | None = None) -> Encoder:
    """Return the encoder of this name.

    - "bundled" or "efficientnet-lite0": 1280 features of an ImageNet network, input 224 x 224; "bundled:128" for an
      input of 128 x 128, three times as quick and coarser.
    - "pixels": the picture itself at 32 x 32; "pixels:28" or "pixels:28x20" (height x width) for another size.

    Args:
        name: one of these.
        device: of torch; None takes the GPU where there is one.

    Raises:
        InputError: there is no such encoder, size or device.
        MissingExtra: the package with the weights is not installed.

    >>> load_encoder("pixels:8").dim
    192
    """
    base, _, size = name.partition(":")
    if base == "pixels":
        return pixels.load(size)
    if base in ("bundled", "efficientnet-lite0"):
        return bundled.load(size, _as_device(device))
    close = difflib.get_close_matches(base.lower(), ENCODERS, n=1)
    guess = f" Did you mean {close[0]!r}?" if close else ""
    raise InputError(f"there is no encoder {name!r}; there are {', '.join(ENCODERS)}.{guess}")


def _as_device(device: str | torch.device | None) -> torch.device:
    if device is None:
        return torch.device("cuda" if torch.cuda.is_available() else "cpu")
    try:
        chosen = torch.device(device)
        torch.empty(0, device=chosen)
    except (RuntimeError, AssertionError) as error:  # torch without CUDA asserts
        reason = str(error).splitlines()[0].rstrip(".")
        raise InputError(f"the device {str(device)!r} cannot be used ({reason}); give 'cpu', or None.") from None
    return chosen
