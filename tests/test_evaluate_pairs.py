"""evaluate on tables that carry text: mid and its companions by themselves, per pair, and what keeps them away."""

from __future__ import annotations

import math

import numpy as np
import pytest

import pointwise as pw

PAIRWISE = ["mid", "clip_score", "r_precision", "info_nce"]


def pairs(n=300, dx=4, dy=4, *, seed=0, fit=1.0, **columns):
    """A table of samples x and texts y that share their first columns; fit 0 shares nothing."""
    rng = np.random.default_rng(seed)
    y = rng.normal(size=(n, dy))
    x = rng.normal(size=(n, dx))
    shared = min(dx, dy)
    x[:, :shared] += fit * y[:, :shared]
    return pw.FeatureTable(x, text=y, **columns)


def test_tables_with_text_are_measured_for_alignment_too():
    real, fake = pairs(), pairs(200, seed=1)
    ev = pw.evaluate(real, fake)
    assert [name for name, _ in ev] == [name for name, row in pw.METRICS.items() if row.by_default]
    assert ev.warnings == ()
    expected = {
        "clip_score": pw.clip_score(fake.features, fake.text),
        "r_precision": pw.r_precision(fake.features, fake.text, seed=0),
        "info_nce": pw.info_nce_score(fake.features, fake.text),
    }
    pair = pw.GaussianPair()
    pair.update(real.features, real.text)
    expected["mid"] = pair.score(fake.features, fake.text, fitted=(real.features, real.text))
    for name, score in expected.items():
        np.testing.assert_array_equal(ev[name].per_sample, score.per_sample)
        assert (ev[name].of, ev[name].value, ev[name].standard_error) == ("pair", score.value, score.standard_error)


def test_pairs_keep_modes_ids_and_captions(tmp_path):
    captions = [f"picture {i}" for i in range(200)]
    fake = pairs(200, seed=1, modes=["a", "b"] * 100, ids=np.arange(200), captions=captions)
    ev = pw.evaluate(pairs(), fake, metrics=PAIRWISE)
    for name in PAIRWISE:
        score = ev[name]
        assert score.ids.tolist() == list(range(200))
        assert score.captions.tolist() == captions
        by_mode = score.by_mode()
        assert list(by_mode) == ["a", "b"]
        assert np.mean([part.value for part in by_mode.values()]) == pytest.approx(score.value)
        assert by_mode["b"].captions.tolist() == captions[1::2]
        assert by_mode["b"].standard_error > 0
    ev.to_json(tmp_path / "ev.json")
    back = pw.Evaluation.from_json(tmp_path / "ev.json")
    assert back["mid"].captions.tolist() == captions
    np.testing.assert_array_equal(back["mid"].per_sample, ev["mid"].per_sample)
    frame = ev.to_dataframe(of="pair")
    assert list(frame.columns) == ["id", "mode", "caption", *PAIRWISE]
    worst = frame.sort_values("mid").iloc[0]
    assert worst["caption"] == captions[int(ev["mid"].per_sample.argmin())]


def test_tables_without_text_are_not_asked_for_it():
    rng = np.random.default_rng(0)
    ev = pw.evaluate(rng.normal(size=(50, 3)), rng.normal(size=(40, 3)))
    assert not set(PAIRWISE) & {name for name, _ in ev}
    assert ev.warnings == ()


@pytest.mark.parametrize("lacking", ["real", "fake"])
def test_text_on_one_side_alone_is_said(lacking):
    real, fake = pairs(), pairs(200, seed=1)
    if lacking == "real":
        real = pw.FeatureTable(real.features)
    else:
        fake = pw.FeatureTable(fake.features)
    ev = pw.evaluate(real, fake)
    table = {"real": "real", "fake": "generated"}[lacking]
    without = {"real": "mid is", "fake": "mid, clip_score, r_precision and info_nce are"}[lacking]
    assert "mid" not in ev
    assert ev.warnings == (
        f"{without} left out: the {table} table carries no text features; give it text=, one row per sample, or encode "
        "it together with its captions.",
    )
    assert ("clip_score" in ev) == (lacking == "real")  # cosines ask the generated pairs alone
    with pytest.raises(pw.InputError, match=f"the {table} table carries no text features"):
        pw.evaluate(real, fake, metrics=["mid"])


def test_a_reference_asks_for_generated_texts():
    real, fake = pairs(), pairs(200, seed=1)
    pair = pw.GaussianPair()
    pair.update(real.features, real.text)
    bare = [pw.FeatureTable(table.features) for table in (real, fake)]
    reference = pw.Reference(bare[0], pairs=pair)
    assert pw.evaluate(reference, bare[1]).warnings[0].startswith("mid, clip_score, r_precision and info_nce")


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"ridge": -1.0}, "ridge is -1.0; it must be a number of at least 0"),
        ({"ridge": math.nan}, "ridge is nan; it must be a number of at least 0"),
        ({"reduce": 0}, "reduce is 0; it must be a whole number of at least 1"),
        (
            {"ridge": 0.1, "debias": True},
            "debias=True is exact for plain covariances alone; ridge must be 0, it is 0.1",
        ),
        ({"pairs": pw.GaussianPair(), "reduce": 2}, "pairs has its own ridge and reduce"),
        ({"pairs": pw.GaussianPair(), "ridge": 0.1}, "leave ridge and reduce out beside it"),
        ({"pairs": pw.GaussianPair(ridge=0.1), "debias": True}, "ridge must be 0, it is 0.1"),
    ],
)
@pytest.mark.parametrize("table", [pairs(), np.eye(3)], ids=["texts", "no texts"])
def test_options_of_mid_are_checked_whatever_is_measured(options, message, table):
    with pytest.raises(pw.InputError, match=message):
        pw.Reference(table, **options)


def test_a_reference_of_no_pairs_is_refused():
    reference = pw.Reference(pairs(), pairs=pw.GaussianPair())
    with pytest.raises(pw.InputError, match=r"0 pairs are too few"):
        pw.evaluate(reference, pairs(200, seed=1), metrics=["mid"])


def test_the_same_samples_with_other_texts_are_no_copies():
    """As captions of one set of images by people and by a model are compared."""
    real = pairs()
    captioned = pw.FeatureTable(real.features, text=pairs(seed=1).text)
    assert pw.evaluate(real, captioned, metrics=PAIRWISE).warnings == ()
    (sentence,) = pw.evaluate(real, real, metrics=PAIRWISE).warnings
    assert sentence.startswith(
        "both tables hold the same pairs: mid and kme_pmi score the pairs that they were fitted on"
    )
    assert (
        pw.evaluate(real, captioned, metrics=["mid", "frechet"]).warnings[0].startswith("both tables hold the same r")
    )


def test_provenance_knows_the_texts():
    real, fake = pairs(), pairs(200, seed=1)
    told = pw.evaluate(real, fake, metrics=["frechet"]).provenance
    assert told["real"]["text_columns"] == 4
    assert told["real"]["text_fingerprint"] == pw.FeatureTable(real.text).fingerprint()
    assert told["generated"]["text_fingerprint"] != told["real"]["text_fingerprint"]
    assert "text_columns" not in pw.evaluate(real.features, fake.features, metrics=["frechet"]).provenance["real"]


def test_widths_that_differ_leave_cosines_out_and_keep_mid():
    real, fake = pairs(dy=3), pairs(200, dy=3, seed=1)
    ev = pw.evaluate(real, fake)
    assert "mid" in ev
    assert ev.warnings == (
        "clip_score, r_precision and info_nce are left out: cosines need image and text features in one space, and "
        "these have 4 and 3 columns; encode both by one model that was trained for it, such as CLIP.",
    )
    with pytest.raises(pw.InputError, match="these have 4 and 3 columns"):
        pw.evaluate(real, fake, metrics=["info_nce"])


def test_two_encoders_of_one_width_are_not_one_space():
    meta = {"encoder": "eye", "text_encoder": "ear"}
    ev = pw.evaluate(pairs(meta=meta), pairs(200, seed=1, meta=meta))
    assert "clip_score" not in ev
    assert "these come from eye and ear" in ev.warnings[0]
    meta = {"encoder": "clip", "text_encoder": "clip"}
    assert "clip_score" in pw.evaluate(pairs(meta=meta), pairs(200, seed=1, meta=meta))


def test_texts_of_different_encoders_are_said():
    ev = pw.evaluate(pairs(meta={"text_encoder": "ear"}), pairs(200, seed=1, meta={"text_encoder": "tongue"}))
    assert ev.warnings == (
        "the texts of the real table were encoded by ear and those of the generated one by tongue: their features "
        "cannot be compared. Encode both alike.",
    )


def test_too_few_pairs_leave_mid_out_and_say_what_to_do():
    real, fake = pairs(20, 12, 12), pairs(60, 12, 12, seed=1)
    ev = pw.evaluate(real, fake)
    assert "mid" not in ev
    assert ev.warnings[0].startswith("mid is left out: 20 pairs are too few for 12 + 12 columns")
    assert ev.warnings[1].startswith("r_precision is left out: negatives is 99, but each of 60 rows has only 59 others")
    with pytest.raises(pw.InputError, match=r"20 pairs are too few.*reduce each side.*or add a ridge"):
        pw.evaluate(real, fake, metrics=["mid"])
    assert math.isfinite(pw.evaluate(pw.Reference(real, ridge=0.5), fake, metrics=["mid"])["mid"].value)
    reduced = pw.evaluate(pw.Reference(real, reduce=3, debias=True), fake, metrics=["mid"])
    about = reduced.provenance["reference_pairs"]
    assert (about["pairs"], about["columns"], about["reduce"], about["debias"]) == (20, [12, 12], 3, True)
    assert all(0 < share < 1 for share in about["kept_variance"])


def test_options_reach_the_gaussian():
    real, fake = pairs(), pairs(200, seed=1)
    for options in ({"ridge": 0.3}, {"reduce": 2}, {}):
        for debias in (False, True):
            if debias and "ridge" in options:
                continue
            pair = pw.GaussianPair(**options)
            pair.update(real.features, real.text)
            reference = pw.Reference(real, debias=debias, **options)
            mid = pw.evaluate(reference, fake, metrics=["mid"])["mid"].value
            assert mid == pair.pmi(fake.features, fake.text, debias=debias).value


def test_a_gaussian_serves_again_without_its_table(tmp_path):
    real, fake = pairs(1000), pairs(200, seed=1)
    pair = pw.GaussianPair()
    pair.update(real.features, real.text)
    pair.save(tmp_path / "pairs.safetensors")
    again = pw.GaussianPair.load(tmp_path / "pairs.safetensors")
    small = pw.FeatureTable(real.features[:100])  # without text
    ev = pw.evaluate(pw.Reference(small, pairs=again), fake)
    assert ev["mid"].value == pw.evaluate(real, fake, metrics=["mid"])["mid"].value
    assert ev.provenance["reference_pairs"]["pairs"] == 1000
    with pytest.raises(pw.InputError, match="pairs has its own ridge and reduce"):
        pw.Reference(small, pairs=again, ridge=0.1)
    reference = pw.Reference(pairs(dx=5), pairs=again)
    with pytest.raises(pw.InputError, match=r"these pairs have 5 \+ 4 columns but those fitted on have 4 \+ 4"):
        pw.evaluate(reference, pairs(200, dx=5, seed=1), metrics=["mid"])


def test_seed_draws_the_negatives():
    real, fake = pairs(), pairs(150, seed=1, fit=0.5)
    runs = [pw.evaluate(real, fake, metrics=["r_precision"], seed=seed)["r_precision"].per_sample for seed in (0, 0, 1)]
    np.testing.assert_array_equal(runs[0], runs[1])
    assert (runs[0] != runs[2]).any()


@pytest.fixture(scope="module")
def learned():
    real = pairs(120, 2, 2)
    return pw.KmePmi.fit(real.features, real.text)


def test_what_is_learned_from_pairs_is_computed_where_it_is_named(learned):
    real, fake = pairs(120, 2, 2), pairs(60, 2, 2, seed=1, captions=[f"picture {i}" for i in range(60)])
    steps = []
    reference = pw.Reference(real, progress=lambda *step: steps.append(step))
    ev = pw.evaluate(reference, fake, metrics=["kme_pmi", "mid"])
    score = ev["kme_pmi"]
    np.testing.assert_array_equal(score.per_sample, learned.pmi(fake.features, fake.text).per_sample)
    assert (score.of, score.captions.tolist()) == ("pair", fake.captions.tolist())
    assert ("learning kme_pmi", 300, 300) in steps
    about = ev.provenance["learned"]
    assert about["trained_on"] + about["held_out"]["pairs"] + about["calibration"]["pairs"] == 120
    assert about["calibration"]["constant"] == learned.calibration.constant
    assert (about["points"], about["dim"]) == (4, 3)
    assert "learned" not in pw.evaluate(real, fake, metrics=["mid"]).provenance


def test_what_was_learned_before_serves_without_its_table(learned):
    real, fake = pw.FeatureTable(pairs(30, 2, 2).features), pairs(60, 2, 2, seed=1)
    reference = pw.Reference(real, learned=learned)
    named = pw.evaluate(reference, fake, metrics=["kme_pmi"])["kme_pmi"]
    assert named.value == learned.pmi(fake.features, fake.text).value
    ev = pw.evaluate(reference, fake)  # it costs nothing more, so it need not be named
    assert ev["kme_pmi"].value == named.value
    bare = pw.evaluate(reference, pw.FeatureTable(fake.features))
    assert bare.warnings[0].startswith("mid, kme_pmi, clip_score, r_precision and info_nce are left out: the generated")
    other = pw.evaluate(pw.Reference(pairs(30, 3, 2), learned=learned), pairs(60, 3, 2, seed=1))
    assert "kme_pmi is left out: these pairs have 3 + 2 columns but those learned from have 2 + 2" in other.warnings[0]
    assert "learned" not in other.provenance


@pytest.mark.parametrize("lacking", ["real", "generated"])
def test_nothing_is_learned_without_text(lacking):
    tables = {"real": pairs(120, 2, 2), "generated": pairs(60, 2, 2, seed=1)}
    tables[lacking] = pw.FeatureTable(tables[lacking].features)
    steps = []
    reference = pw.Reference(tables["real"], progress=lambda *step: steps.append(step))
    with pytest.raises(pw.InputError, match=f"the {lacking} table carries no text features"):
        pw.evaluate(reference, tables["generated"], metrics=["kme_pmi"])
    assert steps == []


def test_too_few_pairs_to_learn_from_are_refused():
    with pytest.raises(pw.InputError, match=r"99 pairs are too few to learn a similarity and its constant from"):
        pw.evaluate(pairs(99, 2, 2), pairs(60, 2, 2, seed=1), metrics=["kme_pmi"])
