"""Hypothesis strategies for the pairs of tables that metrics are tested on."""

import numpy as np
from hypothesis import strategies as st

KINDS = ("plain", "offset", "clusters", "lattice")


@st.composite
def table_pairs(draw, *, kinds=KINDS, dtypes=(np.float32, np.float64), rows=(20, 60), columns=(1, 6)):
    """A pair (real, fake) of arrays [n, d] and [m, d] of one dtype; sizes and dimension are drawn, both ends included.

    Kinds: "plain" normal rows, the generated ones wider and shifted; "offset", the same around a common point 1000
    units away; "clusters", tight groups 1e-3 wide around far apart centres; "lattice", small integers, so that
    distances tie and rows repeat.
    """
    n, m, d = draw(st.integers(*rows)), draw(st.integers(*rows)), draw(st.integers(*columns))
    kind, dtype = draw(st.sampled_from(kinds)), draw(st.sampled_from(dtypes))
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1)))
    if kind == "lattice":
        real, fake = rng.integers(0, 4, size=(n, d)), rng.integers(1, 5, size=(m, d))
    elif kind == "clusters":
        centres = 3 * rng.standard_normal((4, d))
        real, fake = (centres[rng.integers(4, size=count)] + 1e-3 * rng.standard_normal((count, d)) for count in (n, m))
    else:
        real, fake = rng.standard_normal((n, d)), 1.3 * rng.standard_normal((m, d)) + 0.2
    if kind == "offset":
        real, fake = real + 1000, fake + 1000
    return real.astype(dtype), fake.astype(dtype)
