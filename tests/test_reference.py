"""Reference: the real side is made once, serves all comparisons, and is kept in a file that is refused when stale."""

from __future__ import annotations

import copy
from collections import Counter

import numpy as np
import pytest

import pointwise as pw
from pointwise.metrics.registry import METRICS
from pointwise.reference.options import Options
from pointwise.tables.tensors import load_arrays

NAMES = list(METRICS)  # kme_pmi too
ALONE = [name for name, row in METRICS.items() if row.of != "pair"]
NEIGHBOURS = [name for name, row in METRICS.items() if row.summary == "neighborhoods"]


def rows(n: int = 60, d: int = 3, *, seed: int = 0) -> np.ndarray:
    return np.random.default_rng(seed).standard_normal((n, d))


def pairs(n: int = 120, d: int = 2, *, seed: int = 0) -> pw.FeatureTable:
    """Samples and texts in one space, that agree but for noise."""
    text = rows(n, d, seed=seed)
    return pw.FeatureTable(text + rows(n, d, seed=seed + 100), text=text, modes=np.arange(n) % 3, ids=np.arange(n))


@pytest.fixture(scope="module")
def learned():
    """What takes seconds to learn, once for all tests."""
    real = pairs()
    return pw.KmePmi.fit(real.features, real.text)


@pytest.fixture
def fits(learned, monkeypatch):
    """The seeds that kme_pmi is learned with, in place of learning anew."""
    seeds = []

    def fit(x, y, *, seed, progress):
        seeds.append(seed)
        made = copy.deepcopy(learned)
        made.model.meta["seed"] = seed
        return made

    monkeypatch.setattr(pw.KmePmi, "fit", fit)
    return seeds


def assert_identical(left: pw.Evaluation, right: pw.Evaluation) -> None:
    """To the last bit, errors and intervals too."""
    assert list(left) == list(right)
    for key in left:
        one, other = left.scores[key], right.scores[key]
        assert (one.value, one.of, one.kind) == (other.value, other.of, other.kind)
        np.testing.assert_array_equal(one.standard_error, other.standard_error)
        np.testing.assert_array_equal(one.interval(), other.interval())
        if one.per_sample is not None:
            np.testing.assert_array_equal(one.per_sample, other.per_sample)
    assert left.warnings == right.warnings
    assert left.provenance == right.provenance


# ---- made once


def test_it_serves_again_with_the_identical_result():
    real = pw.FeatureTable(rows())
    reference = pw.Reference(real)
    for seed in (1, 2, 1):
        assert_identical(pw.evaluate(reference, rows(50, seed=seed)), pw.evaluate(real, rows(50, seed=seed)))
    assert_identical(pw.evaluate(pw.Reference(rows()), rows(50, seed=1)), pw.evaluate(real, rows(50, seed=1)))


def test_the_real_side_of_three_generators_is_worked_out_once(monkeypatch, fits):
    """The real table is checked, moved, hashed, placed and summarized once, and each generated table once."""
    calls: Counter[str] = Counter()

    def count(owner, name, *, of=lambda *args, **options: ""):
        called = getattr(owner, name)

        def counted(*args, **options):
            calls[f"{name} {of(*args, **options)}".strip()] += 1
            return called(*args, **options)

        monkeypatch.setattr(owner, name, counted)

    from pointwise.neighbors.sweep_torch import TorchSweep
    from pointwise.reference import halves, reference, summaries
    from pointwise.summaries import kernels, moments, neighborhoods
    from pointwise.tables import table

    real, generators = pairs(), {name: pairs(110, seed=seed) for seed, name in enumerate("abc", 1)}

    def of_rows(rows, /, *others, **options):
        return "real" if len(rows) == 120 else "generated"

    count(table, "sha256_of_array", of=of_rows)
    count(reference, "on_device")
    count(summaries, "on_device")
    count(TorchSweep, "place", of=lambda sweep, rows, frame: of_rows(rows))
    count(neighborhoods, "within", of=lambda prepared, *others, **options: of_rows(prepared.table))
    count(neighborhoods, "across")
    count(halves, "set_moments", of=of_rows)
    count(moments, "set_moments", of=of_rows)
    count(halves, "own_sums", of=of_rows)
    count(kernels, "own_sums", of=of_rows)
    count(pw.GaussianPair, "update", of=lambda pair, x, y: of_rows(x))
    comparison = pw.compare(pw.Reference(real), generators, metrics=NAMES, k=(3, 5))
    assert all({name for name, _ in evaluation} == set(NAMES) for evaluation in comparison.values())
    assert calls == {
        "sha256_of_array real": 2,  # samples and texts
        "sha256_of_array generated": 6,
        "on_device": 4,
        "place real": 1,
        "place generated": 3,
        "within real": 1,
        "within generated": 3,
        "across": 3,
        "set_moments real": 1,
        "set_moments generated": 3,
        "own_sums real": 2,  # two kernels
        "own_sums generated": 6,
        "update real": 1,
    }
    assert fits == [0]


@pytest.mark.parametrize("given", ["array", "table"])
def test_the_real_rows_are_checked_once(monkeypatch, given):
    from pointwise import _arrays
    from pointwise.tables import table

    checked = []

    def as_features(x, **options):
        checked.append(len(x))
        return _arrays.as_features(x, **options)

    monkeypatch.setattr(table, "as_features", as_features)
    real = rows() if given == "array" else pw.FeatureTable(rows())
    pw.compare(real, {name: rows(50, seed=seed) for seed, name in enumerate("abc", 1)}, metrics=["pce", "kid"])
    assert checked == [60, 50, 50, 50]


def test_what_is_here_is_what_is_used():
    """Doubled distances within the real table raise its entropy by d log 2, and nothing is searched anew."""
    reference = pw.Reference(rows())
    options = Options.checked()
    before = pw.evaluate(reference, rows(50, seed=1))["entropy_real"].value
    half = reference.half("neighborhoods", options)
    reference._halves["neighborhoods"] = half._replace(distances=2 * half.distances)
    doubled = pw.evaluate(reference, rows(50, seed=1))["entropy_real"].value
    assert doubled - before == pytest.approx(3 * np.log(2), rel=1e-9)


@pytest.mark.parametrize(
    ("n", "k", "cover", "depth"),
    [(60, 5, 3, 16), (17, 5, 3, 16), (16, 5, 3, 15), (60, (2, 7), 2, 15), (60, 1, 1, 2)],
)
def test_neighbours_are_made_again_only_where_they_are_too_shallow(n, k, cover, depth):
    """One more than cover times the largest k, for the standard error, where there are that many other rows."""
    real, fake = rows(n), rows(50, seed=1)
    reference, options = pw.Reference(real), Options.checked(k=k, cover=cover)
    expected = pw.evaluate(real, fake, k=k, cover=cover, metrics=NEIGHBOURS)
    whole = reference.half("neighborhoods", options)
    assert whole.distances.shape == (n, depth)
    assert_identical(pw.evaluate(reference, fake, k=k, cover=cover, metrics=NEIGHBOURS), expected)
    assert reference.half("neighborhoods", options) is whole
    shallow = whole._replace(distances=whole.distances[:, :-1], indices=whole.indices[:, :-1])
    reference._halves["neighborhoods"] = shallow
    assert_identical(pw.evaluate(reference, fake, k=k, cover=cover, metrics=NEIGHBOURS), expected)
    assert reference.half("neighborhoods", options).distances.shape == (n, depth)
    assert pw.evaluate(reference, fake, k=1, cover=1, metrics=["pce"])["pce"].value == (
        pw.evaluate(real, fake, k=1, cover=1, metrics=["pce"])["pce"].value
    )
    assert reference.half("neighborhoods", Options.checked(k=1, cover=1)).distances.shape == (n, depth)


def test_too_few_rows_are_said_though_neighbours_are_here():
    reference, fake = pw.Reference(rows(16)), rows(50, seed=1)
    pw.evaluate(reference, fake, metrics=["pce"])
    with pytest.raises(pw.InputError, match=r"the real table has 16 rows, which is too few for cover \* k = 2 \* 8"):
        pw.evaluate(reference, fake, metrics=["pce"], k=8, cover=2)


def test_kernel_sums_are_made_again_for_another_seed_and_nothing_else_is():
    real, fake = rows(5200, 2), rows(60, 2, seed=1)  # more than kid uses, so that it draws
    reference = pw.Reference(real)
    metrics = ["frechet", "kid"]
    first = pw.evaluate(reference, fake, metrics=metrics, seed=4)
    made = reference.made()
    assert_identical(pw.evaluate(reference, fake, metrics=metrics, seed=4), first)
    assert reference.made() == made
    other = pw.evaluate(reference, fake, metrics=metrics, seed=5)
    assert_identical(other, pw.evaluate(real, fake, metrics=metrics, seed=5))
    assert other["kid"].value != first["kid"].value
    changed = {name for name, number in reference.made().items() if made[name] != number}
    assert changed == {"polynomial_kernel"}


def test_another_seed_learns_again_but_where_it_was_given(learned, fits):
    real, fake = pairs(), pairs(60, seed=1)
    reference = pw.Reference(real)
    for seed in (0, 0, 7, 7):
        pw.evaluate(reference, fake, metrics=["kme_pmi"], seed=seed)
    assert fits == [0, 7]
    given = pw.Reference(real, learned=learned)
    for seed in (0, 7):
        pw.evaluate(given, fake, metrics=["kme_pmi"], seed=seed)
    assert fits == [0, 7]


def test_what_was_learned_for_another_seed_is_not_at_hand(fits):
    """Where nothing is named, what costs nothing more is computed: with another seed it would cost a minute."""
    reference, fake = pw.Reference(pairs()), pairs(110, seed=1)
    assert "kme_pmi" not in pw.evaluate(reference, fake)
    pw.evaluate(reference, fake, metrics=["kme_pmi"], seed=7)
    assert "kme_pmi" in pw.evaluate(reference, fake, seed=7)
    assert "kme_pmi" not in pw.evaluate(reference, fake, seed=0)
    assert fits == [7]


def test_inputs_are_left_as_they_are():
    real = rows()
    reference = pw.Reference(real)
    pw.evaluate(reference, rows(50, seed=1))
    np.testing.assert_array_equal(real, rows())


def test_repr_says_what_was_made():
    reference = pw.Reference(pairs())
    assert repr(reference) == "Reference(120 x 2 float64, 3 modes, text 2, ids)"
    pw.evaluate(reference, pairs(110, seed=1), metrics=["frechet", "mid"])
    assert repr(reference) == "Reference(120 x 2 float64, 3 modes, text 2, ids, with moments, gaussian_pair)"


def test_a_reference_takes_tables_alone():
    with pytest.raises(pw.InputError, match=r"real is a str; it must be a NumPy array.*To read a file: pointwise.load"):
        pw.Reference("real.npz")
    with pytest.raises(pw.InputError, match="real has NaN or inf in 1 of 2 rows"):
        pw.Reference([[0.0], [np.nan]])


# ---- kept in a file


@pytest.fixture(scope="module")
def saved(learned, tmp_path_factory):
    """A reference with every half, and the file that it was saved to."""
    reference = pw.Reference(pairs())
    reference._halves["learned_pair"] = copy.deepcopy(learned)  # as it would learn it
    pw.evaluate(reference, pairs(110, seed=1), metrics=NAMES, k=(3, 5))
    path = tmp_path_factory.mktemp("reference") / "real.safetensors"
    reference.save(path)
    return reference, path


def test_a_file_gives_the_same_numbers_to_the_last_bit(saved):
    """For every metric, text and what is learned too; and nothing of the real side is made again."""
    reference, path = saved
    again = pw.Reference(pairs(), kept=path)
    made = again.made()
    assert set(made) == set(reference.made()) == {METRICS[name].summary for name in NAMES} - {"cosines"}
    for seed in (1, 2):
        fake = pairs(110, seed=seed)
        options = {"metrics": NAMES, "k": (3, 5)}
        assert_identical(pw.evaluate(again, fake, **options), pw.evaluate(reference, fake, **options))
    assert again.made() == made
    anew = pw.evaluate(pairs(), fake, metrics=[name for name in NAMES if name != "kme_pmi"], k=(3, 5))
    for key, score in anew.scores.items():
        kept = pw.evaluate(again, fake, **options).scores[key]
        assert (score.value, score.standard_error) == (kept.value, kept.standard_error)


def test_a_file_gives_the_same_differences(saved):
    generators = {"a": pairs(110, seed=1), "b": pairs(100, seed=2)}
    one, other = (
        pw.compare(reference, generators, metrics=NAMES).difference("a", "b")
        for reference in (saved[0], pw.Reference(pairs(), kept=saved[1]))
    )
    assert_identical(one, other)


def test_a_file_of_float32_and_of_a_table_without_text(tmp_path):
    real, fake = rows().astype(np.float32), rows(50, seed=1).astype(np.float32)
    reference = pw.Reference(real)
    expected = pw.evaluate(reference, fake)
    reference.save(tmp_path / "real.safetensors")
    assert_identical(pw.evaluate(pw.Reference(real, kept=tmp_path / "real.safetensors"), fake), expected)


def test_a_file_of_rows_that_were_drawn(tmp_path):
    real, fake = rows(5200, 2), rows(60, 2, seed=1)
    reference = pw.Reference(real)
    expected = pw.evaluate(reference, fake, metrics=["cmmd"])
    reference.save(tmp_path / "real.safetensors")
    again = pw.Reference(real, kept=tmp_path / "real.safetensors")
    made = again.made()
    assert_identical(pw.evaluate(again, fake, metrics=["cmmd"]), expected)
    assert again.made() == made


def test_a_reference_is_saved_as_the_same_bytes(saved, tmp_path):
    saved[0].save(tmp_path / "again.safetensors")
    pw.Reference(pairs(), kept=saved[1]).save(tmp_path / "of file.safetensors")
    whole = saved[1].read_bytes()
    assert (tmp_path / "again.safetensors").read_bytes() == (tmp_path / "of file.safetensors").read_bytes() == whole


def test_a_file_holds_no_features(saved):
    real = pairs()
    directions = real.features / real.features.norm(dim=1, keepdim=True)
    arrays, _ = load_arrays(saved[1], kind="reference", called="a reference")
    for name, array in arrays.items():
        for rows_of in (real.features.numpy(), directions.numpy(), real.text.numpy()):
            assert array.shape != rows_of.shape or not np.allclose(np.asarray(array, dtype=float), rows_of), name


def test_a_file_of_another_table_is_refused(saved):
    real = pairs()
    changed = real.features.numpy().copy()
    changed[119, 1] = np.nextafter(changed[119, 1], 9)
    for table in (
        pw.FeatureTable(changed, text=real.text),
        pw.FeatureTable(real.features.float(), text=real.text),
        real[::-1],
        real[:119],
    ):
        with pytest.raises(
            pw.InputError,
            match=rf"real.safetensors was worked out of another table: the features of this one \({len(table)} rows, "
            r"fingerprint \w{12}\) are not those of the file \(fingerprint \w{12}\)\. Give that table, or another path",
        ):
            pw.Reference(table, kept=saved[1])


def test_a_file_of_other_texts_is_refused(saved):
    real = pairs()
    for text, known in ((rows(120, 2, seed=9), r"\w{12}"), (None, "none")):
        with pytest.raises(
            pw.InputError,
            match=rf"another table: the text of this one \(120 rows, fingerprint {known}\) are not those of the file",
        ):
            pw.Reference(pw.FeatureTable(real.features, text=text), kept=saved[1])


def test_what_names_the_rows_is_not_what_makes_a_file_stale(saved):
    real = pairs()
    renamed = pw.FeatureTable(real.features, text=real.text, modes=["one"] * 120)
    ev = pw.evaluate(pw.Reference(renamed, kept=saved[1]), pairs(110, seed=1), metrics=["rce"])
    assert list(ev["rce"].by_mode()) == ["one"]


def test_a_file_takes_in_what_is_made_later(saved, tmp_path):
    path = tmp_path / "real.safetensors"
    reference = pw.Reference(pairs())
    pw.evaluate(reference, pairs(110, seed=1), metrics=["pce"], k=1)
    reference.save(path)
    again = pw.Reference(pairs(), kept=path)
    assert list(again.made()) == ["neighborhoods"]
    pw.evaluate(again, pairs(110, seed=1), metrics=["pce", "frechet"], k=7)
    again.save(path)
    made = pw.Reference(pairs(), kept=path)
    assert list(made.made()) == ["neighborhoods", "moments"]
    assert made.half("neighborhoods", Options.checked(k=7)).distances.shape == (120, 22)


def test_a_fitted_gaussian_in_a_file_follows_the_options_of_the_reference(tmp_path):
    """It holds sums, which serve for every ridge and reduce: those asked for now hold, not those asked for then."""
    real, fake, path = pairs(d=3), pairs(110, d=3, seed=1), tmp_path / "real.safetensors"
    all_options = [{}, {"ridge": 0.5}, {"reduce": 2}, {"debias": True}, {"ridge": 0.5, "reduce": 2}]
    for options in all_options:
        reference = pw.Reference(real, **options)
        pw.evaluate(reference, fake, metrics=["mid"])
        reference.save(path)
        for others in all_options:
            again = pw.Reference(real, kept=path, **others)
            made = again.made()
            expected = pw.evaluate(pw.Reference(real, **others), fake, metrics=["mid"])
            assert_identical(pw.evaluate(again, fake, metrics=["mid"]), expected)
            assert again.made() == made


def test_a_given_gaussian_keeps_its_own_ridge_and_reduce_in_a_file(tmp_path):
    """Of more pairs than the table has; neither is replaced by what is asked for now."""
    real, fake, path = pairs(d=3), pairs(110, d=3, seed=1), tmp_path / "real.safetensors"
    pair = pw.GaussianPair(ridge=0.5, reduce=2)
    for table in (real, pairs(200, d=3, seed=7)):
        pair.update(table.features, table.text)
    pw.Reference(real, pairs=pair).save(path)
    ev = pw.evaluate(pw.Reference(real, kept=path), fake, metrics=["mid"])
    assert_identical(ev, pw.evaluate(pw.Reference(real, pairs=pair), fake, metrics=["mid"]))
    assert ev.provenance["reference_pairs"] | {"kept_variance": 0} == {
        "pairs": 320,
        "columns": [3, 3],
        "ridge": 0.5,
        "reduce": 2,
        "kept_variance": 0,
        "debias": False,
    }
    for options in ({"ridge": 0.1}, {"reduce": 1}):
        with pytest.raises(pw.InputError, match=r"was kept in .*real\.safetensors has its own ridge and reduce"):
            pw.Reference(real, kept=path, **options)
    with pytest.raises(pw.InputError, match=r"ridge must be 0, it is 0\.5"):
        pw.Reference(real, kept=path, debias=True)
    pw.Reference(real, kept=path).save(path)  # it is still one that was given
    assert pw.evaluate(pw.Reference(real, kept=path), fake, metrics=["mid"])["mid"].value == ev["mid"].value


def test_what_was_given_as_learned_serves_from_a_file_whatever_the_seed(learned, fits, tmp_path):
    real, fake, path = pairs(), pairs(60, seed=1), tmp_path / "real.safetensors"
    pw.Reference(real, learned=learned).save(path)
    for seed in (0, 7):
        ev = pw.evaluate(pw.Reference(real, kept=path), fake, metrics=["kme_pmi"], seed=seed)
        assert ev["kme_pmi"].value == learned.pmi(fake.features, fake.text).value
    assert fits == []
    reference = pw.Reference(real)
    pw.evaluate(reference, fake, metrics=["kme_pmi"], seed=7)
    reference.save(path)
    for seed in (7, 0):
        pw.evaluate(pw.Reference(real, kept=path), fake, metrics=["kme_pmi"], seed=seed)
    assert fits == [7, 0]


# ---- damage


def test_a_flipped_bit_anywhere_is_refused_in_a_sentence(saved, tmp_path):
    whole, path = saved[1].read_bytes(), tmp_path / "flipped.safetensors"
    rng = np.random.default_rng(0)
    places = [*range(0, 16, 3), *rng.integers(16, len(whole), size=60).tolist(), len(whole) - 1]
    for place in places:
        damaged = bytearray(whole)
        damaged[place] ^= 1 << int(rng.integers(8))
        path.write_bytes(damaged)
        with pytest.raises(
            pw.InputError,
            match=r"flipped.safetensors (cannot be read as a reference \(.*\); make and save it again"
            r"|does not hold a reference: it was not saved as such)",
        ):
            pw.Reference(pairs(), kept=path)


def test_a_file_that_is_no_reference(saved, tmp_path):
    path, whole = tmp_path / "broken.safetensors", saved[1].read_bytes()
    for damaged in (b"", whole[:-1], whole[: len(whole) // 2], whole + b"x", b"\xff" * 100, b"not a file"):
        path.write_bytes(damaged)
        sentence = r"broken.safetensors cannot be read as a reference \(.*\); make and save it again"
        with pytest.raises(pw.InputError, match=sentence):
            pw.Reference(pairs(), kept=path)
    with pytest.raises(pw.InputError, match=r"absent.safetensors cannot be read as a reference"):
        pw.Reference(pairs(), kept=tmp_path / "absent.safetensors")
    pairs().save(path)
    with pytest.raises(
        pw.InputError, match="does not hold a reference: it was not saved as such by this version of pointwise"
    ):
        pw.Reference(pairs(), kept=path)
    pw.GaussianPair().save(path)
    with pytest.raises(pw.InputError, match="does not hold a reference"):
        pw.Reference(pairs(), kept=path)


def test_it_is_saved_whole_or_not_at_all(saved, tmp_path, monkeypatch):
    from pointwise.tables import tensors

    path = tmp_path / "real.safetensors"
    path.write_bytes(saved[1].read_bytes())

    def half(file, arrays, words):
        file.write(b"half of")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(tensors, "write_tensors", half)
    with pytest.raises((pw.InputError, OSError), match="No space left"):
        saved[0].save(path)
    assert [file.name for file in tmp_path.iterdir()] == ["real.safetensors"]
    assert path.read_bytes() == saved[1].read_bytes()
    with pytest.raises(pw.InputError, match=r"cannot write .*: the folder .*absent does not exist; create it first"):
        saved[0].save(tmp_path / "absent" / "real.safetensors")
