"""The generators of the demo: real handwritten digits, a model of them, and that model made to fail in known ways."""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from pointwise.errors import MissingExtra
from pointwise.failures import drop, invent, memorize, shrink
from pointwise.tables.table import FeatureTable

DROPPED = (3, 7)
SHRUNK_TO = 1 / 3
INVENTED = 0.3
COPIED = 0.3

_COMPONENTS = 40  # of 64 pixels; what they leave out is put back as noise of the same size in each pixel


@dataclass(frozen=True)
class Digits:
    """The training half, which is what generators are measured against, and the generators by name."""

    training: FeatureTable
    generators: Mapping[str, FeatureTable]


def digits(*, seed: int = 0) -> Digits:
    """Split scikit-learn's 1,797 digits in two, fit one Gaussian per class to one half, and make that model fail."""
    try:
        from sklearn.datasets import load_digits
        from sklearn.model_selection import train_test_split
    except ImportError:
        raise MissingExtra("scikit-learn, whose digits the demo uses,", extra="demo") from None
    images = load_digits()
    halves = train_test_split(
        images.data / 16,
        images.target,
        np.arange(len(images.data)),
        test_size=0.5,
        stratify=images.target,
        random_state=seed,
    )
    training = FeatureTable(halves[0], modes=halves[2], ids=halves[4], meta={"source": "digits, training half"})
    held_out = FeatureTable(halves[1], modes=halves[3], ids=halves[5], meta={"source": "digits, held-out half"})
    model = _sampled_model(training, per_mode=90, seed=seed)
    return Digits(
        training,
        {
            "held-out": held_out,
            "model": model,
            "dropped": drop(model, DROPPED),
            "shrunk": shrink(model, SHRUNK_TO),
            "invented": invent(model, INVENTED, seed=seed),
            "copied": memorize(model, training, COPIED, seed=seed),
        },
    )


def _sampled_model(training: FeatureTable, *, per_mode: int, seed: int) -> FeatureTable:
    """Samples of one Gaussian per class, fitted on principal components, as pixels of 17 grey levels."""
    from sklearn.decomposition import PCA

    rng = np.random.default_rng(seed)
    pixels, modes = training.features.numpy(), np.asarray(training.modes)
    components = PCA(_COMPONENTS, random_state=seed).fit(pixels)
    samples = []
    for mode in np.unique(modes):
        rows = components.transform(pixels[modes == mode])
        left_out = (pixels[modes == mode] - components.inverse_transform(rows)).std(axis=0)
        drawn = rng.multivariate_normal(rows.mean(axis=0), np.cov(rows.T), size=per_mode, method="cholesky")
        samples.append(components.inverse_transform(drawn) + left_out * rng.normal(size=(per_mode, len(left_out))))
    return FeatureTable(
        np.round(np.clip(np.concatenate(samples), 0, 1) * 16) / 16,
        modes=np.repeat(np.unique(modes), per_mode),
        meta={"source": "a Gaussian per class, fitted to the training half"},
    )
