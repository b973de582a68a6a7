"""evaluate: what it takes, what it refuses, what it says of copies, and that halves and passes can be shared."""

from __future__ import annotations

import json
import math
import warnings

import numpy as np
import pytest
import torch

import pointwise
from pointwise._evaluate import evaluate
from pointwise.errors import InputError
from pointwise.metrics.registry import METRICS
from pointwise.neighbors import knn
from pointwise.reference.reference import Reference
from pointwise.reference.summaries import neighborhoods
from pointwise.tables.table import FeatureTable

ALONE = [name for name, row in METRICS.items() if row.of != "pair"]  # that need no texts
NEAR = [row.name for row in METRICS.values() if row.summary == "neighborhoods"]
LOGS = [name for name in NEAR if METRICS[name].unit == "nats"]


def rows(n: int, d: int = 3, *, seed: int = 0, scale: float = 1.0) -> np.ndarray:
    return scale * np.random.default_rng(seed).standard_normal((n, d))


def assert_identical(left: pointwise.Evaluation, right: pointwise.Evaluation) -> None:
    assert list(left) == list(right)
    for key in left:
        one, other = left.scores[key], right.scores[key]
        assert (one.value, one.of) == (other.value, other.of)
        np.testing.assert_array_equal(one.standard_error, other.standard_error)
        if one.per_sample is not None:
            np.testing.assert_array_equal(one.per_sample, other.per_sample)


def test_all_metrics_without_being_asked():
    ev = evaluate(rows(60), rows(50, seed=1))
    assert [name for name, _ in ev] == ALONE
    assert len(ev) == len(ALONE)
    assert ev.warnings == ()
    for name in ALONE:
        row = METRICS[name]
        score = ev[name]
        assert math.isfinite(score.value)
        if row.of is None:
            assert score.per_sample is None
        else:
            assert score.of == row.of
            assert score.per_sample.shape == ((60 if row.of == "real" else 50),)
            assert score.value == pytest.approx(score.per_sample.mean(), rel=1e-12)


def test_chosen_metrics_come_in_the_order_asked_for_and_once():
    ev = evaluate(rows(60), rows(50, seed=1), metrics=["kid", "rce", "pce", "rce"])
    assert list(ev) == [("kid", None), ("rce", 5), ("pce", 5)]


def test_a_chosen_metric_has_the_value_it_has_among_all():
    real, fake = rows(60), rows(50, seed=1)
    everything = evaluate(real, fake)
    for name in ALONE:
        assert evaluate(real, fake, metrics=[name])[name].value == everything[name].value


@pytest.mark.parametrize(
    ("metrics", "message"),
    [
        (["pc"], r"there is no metric 'pc' \(did you mean 'pce'\?\); the names are pce, rce, re, "),
        (["Recall-Cover"], r"no metric 'Recall-Cover' \(did you mean 'recall_cover'\?\)"),
        (["pce", "zzzz"], r"there is no metric 'zzzz'; the names are pce"),
        ("pce", r"metrics is the string 'pce'; give a list of names, \['pce'\] say\."),
        ([], r"metrics is empty; give at least one name, or None for all"),
    ],
)
def test_metrics_that_do_not_exist(metrics, message):
    with pytest.raises(InputError, match=message):
        evaluate(rows(60), rows(50, seed=1), metrics=metrics)


def test_several_k_in_one_pass_equal_one_at_a_time():
    real, fake = rows(60), rows(50, seed=1)
    together = evaluate(real, fake, k=(3, 5, 10))
    assert len(together) == 3 * len(NEAR) + len(ALONE) - len(NEAR)
    for k in (3, 5, 10):
        alone = evaluate(real, fake, k=k)
        for name in NEAR:
            assert together[name, k].value == alone[name].value == alone[name, k].value
            np.testing.assert_array_equal(together[name, k].per_sample, alone[name].per_sample)
    assert together["frechet"].value == alone["frechet"].value


def test_names_with_several_k():
    ev = evaluate(rows(60), rows(50, seed=1), k=(3, 5), metrics=["pce", "frechet"])
    assert list(ev.to_dict()) == ["pce@3", "pce@5", "frechet"]
    assert ev.to_dict()["pce@3"] == ev["pce", 3].value != ev["pce", 5].value
    assert list(evaluate(rows(60), rows(50, seed=1), k=3, metrics=["pce"]).to_dict()) == ["pce"]
    with pytest.raises(InputError, match=r"pce was computed at k = 3, 5; ask for it as evaluation\['pce', 3\]"):
        ev["pce"]
    with pytest.raises(InputError, match=r"pce was computed at k = 3, 5; ask"):
        ev["pce", 4]
    with pytest.raises(InputError, match=r"frechet has no k; ask for it as evaluation\['frechet'\]"):
        ev["frechet", 3]
    with pytest.raises(
        InputError, match=r"'rce' is not in this evaluation \(did you mean 'pce'\?\); it holds pce, fre"
    ):
        ev["rce"]


def test_what_is_in_an_evaluation():
    ev = evaluate(rows(60), rows(50, seed=1), k=(3, 5), metrics=["pce", "frechet"])
    assert "pce" in ev
    assert ("pce", 3) in ev
    assert ("pce", 4) not in ev
    assert "rce" not in ev


@pytest.mark.parametrize("k", [[3, 5], range(3, 6, 2), (5, 3, 5), np.int64(3)])
def test_k_of_any_whole_kind(k):
    ev = evaluate(rows(60), rows(50, seed=1), k=k, metrics=["pce"])
    assert ev["pce", 3].value == evaluate(rows(60), rows(50, seed=1), k=3, metrics=["pce"])["pce"].value


@pytest.mark.parametrize(
    ("k", "message"),
    [
        (0, "k is 0; it must be a whole number of at least 1"),
        (-2, "k is -2; it must be a whole"),
        (2.5, "k is 2.5; it must be a whole"),
        (True, "k is True; it must be a whole"),
        ("5", "k is '5'; it must be a whole"),
        ((3, 0), "k is 0; it must be a whole"),
        (None, "k is None; it must be a whole"),
        ((), r"k is empty; give one number of neighbours or several, 5 or \(3, 5, 10\) say"),
    ],
)
def test_k_that_is_no_count(k, message):
    with pytest.raises(InputError, match=message):
        evaluate(rows(60), rows(50, seed=1), k=k)


@pytest.mark.parametrize("cover", [0, 1.5, "3", False])
def test_cover_that_is_no_count(cover):
    with pytest.raises(InputError, match=f"cover is {cover!r}; it must be a whole number of at least 1"):
        evaluate(rows(60), rows(50, seed=1), cover=cover)


@pytest.mark.parametrize(
    ("n", "m", "k", "cover", "message"),
    [
        (
            10,
            60,
            10,
            1,
            r"the real table has 10 rows, which is too few for cover \* k = 1 \* 10.*needs at least 11 rows",
        ),
        (10, 60, 4, 3, r"the real table has 10 rows, which is too few for cover \* k = 3 \* 4"),
        (60, 10, 4, 3, r"the generated table has 10 rows, which is too few for cover \* k = 3 \* 4"),
        (60, 12, (2, 4), 3, r"the generated table has 12 rows.*cover \* k = 3 \* 4.*needs at least 13 rows"),
    ],
)
def test_too_few_rows_for_k(n, m, k, cover, message):
    with pytest.raises(InputError, match=message):
        evaluate(rows(n), rows(m, seed=1), k=k, cover=cover)


def test_just_enough_rows_for_k():
    assert len(evaluate(rows(13), rows(13, seed=1), k=4, cover=3)) == len(ALONE)


@pytest.mark.parametrize(
    ("n", "m", "message"),
    [
        (0, 60, "the real table has 0 rows; a comparison needs at least 2"),
        (1, 60, "the real table has 1 row; a comparison"),
        (60, 0, "the generated table has 0 rows; a comparison"),
        (60, 1, "the generated table has 1 row; a comparison"),
    ],
)
@pytest.mark.parametrize("metrics", [None, ["frechet"], ["kid"]])
def test_tables_too_small_to_compare(n, m, message, metrics):
    with pytest.raises(InputError, match=message):
        evaluate(rows(n), rows(m, seed=1), metrics=metrics)


def test_widths_that_differ():
    with pytest.raises(InputError, match="the real table has 3 feature columns but the generated table has 4"):
        evaluate(rows(60), rows(60, 4))


def test_values_that_are_not_finite():
    spoilt = rows(60)
    spoilt[7, 1] = np.nan
    with pytest.raises(InputError, match=r"fake has NaN or inf in 1 of 60 rows; the first is row 7, column 1"):
        evaluate(rows(60), spoilt)


@pytest.mark.parametrize("metrics", [None, ["frechet"]])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"engine": "quantum"}, "engine is 'quantum'; it must be one of 'auto', 'torch'"),
        ({"device": "banana"}, "device 'banana' cannot be used"),
        ({"device": "meta"}, "device is 'meta'; distances are refined in float64, which needs 'cpu' or 'cuda'"),
        ({"seed": -1}, "seed is -1; it must be a whole number of at least 0"),
        ({"seed": 0.5}, "seed is 0.5; it must be a whole number"),
    ],
)
def test_options_that_do_not_exist(options, message, metrics):
    with pytest.raises(InputError, match=message):
        evaluate(rows(60), rows(50, seed=1), metrics=metrics, **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="there is a GPU")
def test_a_gpu_that_is_not_there():
    with pytest.raises(InputError, match=r"device 'cuda' cannot be used here \(.+\); use 'cpu', or 'cuda' on a GPU\."):
        evaluate(rows(60), rows(50, seed=1), device="cuda")


@pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no GPU")
def test_a_gpu_gives_the_same_values():
    real, fake = rows(600), rows(500, seed=1)
    for name, value in evaluate(real, fake, device="cuda").to_dict().items():
        assert value == pytest.approx(evaluate(real, fake)[name].value, rel=1e-9)


@pytest.mark.parametrize("metrics", [["frechet"], ["kid", "cmmd"]])
@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"k": 0}, "k is 0; it must be a whole number of at least 1"),
        ({"k": ()}, "k is empty; give one number of neighbours or several"),
        ({"cover": 0}, "cover is 0; it must be a whole number of at least 1"),
        ({"dimension": -3}, "dimension is -3; it must be 'ambient', 'intrinsic' or a positive number"),
        ({"duplicates": "drop"}, "duplicates is 'drop'; it must be one of 'raise', 'floor', 'keep'"),
    ],
)
def test_options_are_checked_also_where_no_metric_asked_for_reads_them(options, message, metrics):
    with pytest.raises(InputError, match=message):
        evaluate(rows(60), rows(50, seed=1), metrics=metrics, **options)


# ---- what is said of the two tables


def test_tables_of_two_encoders_get_a_warning():
    def said(real: str | None, fake: str | None) -> tuple[str, ...]:
        metas = [{} if name is None else {"encoder": name} for name in (real, fake)]
        tables = FeatureTable(rows(60), meta=metas[0]), FeatureTable(rows(50, seed=1), meta=metas[1])
        return evaluate(*tables, metrics=["frechet"]).warnings

    assert said("pixels:28", "pixels:32") == (
        "the real table was encoded by pixels:28 and the generated one by pixels:32: their features cannot be "
        "compared. Encode both alike.",
    )
    assert said("pixels:28", "pixels:28") == said("pixels:28", None) == said(None, "pixels:28") == ()


def test_a_table_against_itself_gets_a_warning_whatever_the_metric():
    (sentence,) = evaluate(rows(60), rows(60), metrics=["frechet"]).warnings
    assert sentence.startswith("both tables hold the same rows: ")
    changed = rows(60)
    changed[59, 2] = np.nextafter(changed[59, 2], 9)
    assert evaluate(rows(60), changed, metrics=["frechet"]).warnings == ()


# ---- dimension


def test_dimension_multiplies_log_distances():
    real, fake = rows(60), rows(50, seed=1)
    hoods = neighborhoods(real, fake)
    ratio = np.log(hoods.real_to_fake.distances[:, 4]).mean() - np.log(hoods.within_real.distances[:, 4]).mean()
    for dimension, d in (("ambient", 3), (3, 3), (1.5, 1.5)):
        ev = evaluate(real, fake, metrics=["rce"], dimension=dimension)
        assert ev["rce"].value == pytest.approx(d * ratio + math.log(50 / 59), rel=1e-12)
        assert ev.provenance["dimension"] == d


def test_intrinsic_dimension_of_a_plane_in_many_columns():
    plane = np.random.default_rng(0).uniform(size=(3000, 2)) @ np.linalg.qr(rows(20, 20, seed=3))[0][:2]
    ev = evaluate(plane[:1500], plane[1500:], metrics=["pce", "rce", "re"], dimension="intrinsic")
    assert ev.provenance["dimension"] == pytest.approx(2, abs=0.15)
    ambient = evaluate(plane[:1500], plane[1500:], metrics=["entropy_real"])
    assert ambient.provenance["dimension"] == 20
    assert all(abs(ev[name].value) < 0.2 for name in ("pce", "rce", "re"))


@pytest.mark.parametrize("dimension", [0, -3, math.inf, math.nan, "intrisic", None, True])
def test_dimension_that_is_none(dimension):
    with pytest.raises(
        InputError, match=f"dimension is {dimension!r}; it must be 'ambient', 'intrinsic' or a positive number"
    ):
        evaluate(rows(60), rows(50, seed=1), dimension=dimension)


# ---- copies


def with_copies() -> np.ndarray:
    """62 rows of which rows 60 and 61 are copies of rows 4 and 5."""
    x = rows(60)
    return np.concatenate([x, x[4:6]])


def test_copies_raise_with_their_number_and_the_first_pair():
    fake = rows(50, seed=1)
    sentence = (
        r"4 of 62 rows of the real table have their 1st neighbour at distance zero \(the first: row 4 equals row 60\), "
        r"and the log of zero is -inf\. Remove the copies, use a larger k, or say duplicates='floor' .*='keep'"
    )
    with pytest.raises(InputError, match=sentence):
        evaluate(with_copies(), fake, k=1)
    with pytest.raises(
        InputError, match=r"4 of 62 rows of the generated table have their 1st .* row 4 equals row 60\)"
    ):
        evaluate(fake, with_copies(), k=1)
    with pytest.raises(
        InputError, match=r"2 of 50 rows of the generated table .* neighbour in the real table at distance"
    ):
        evaluate(rows(60), np.concatenate([fake[:48], rows(60)[4:6]]), k=1, metrics=["pce"])


def test_copies_do_not_matter_where_no_log_of_zero_is_taken():
    fake = rows(50, seed=1)
    ev = evaluate(with_copies(), fake, k=2)
    assert ev.warnings == ("4 of 62 real rows have an exact copy among the real rows.",)
    ev = evaluate(with_copies(), fake, k=1, metrics=[name for name in ALONE if name not in LOGS])
    assert len(ev) == len(ALONE) - len(LOGS)


def test_copies_floored_at_the_smallest_positive_distance():
    real, fake = with_copies(), rows(50, seed=1)
    ev = evaluate(real, fake, k=1, duplicates="floor")
    distances = knn(real, real, 1, exclude_self=True).distances[:, 0]
    floored = np.where(distances == 0, distances[distances > 0].min(), distances)
    terms = ev["entropy_real"].per_sample
    np.testing.assert_allclose(terms - terms[0], 3 * np.log(floored / floored[0]), rtol=1e-9, atol=1e-12)
    assert ev.warnings == (
        "4 of 62 real rows have an exact copy among the real rows.",
        "4 of 62 real rows have their k-th real neighbour (k = 1) at distance zero: "
        "in their log terms the smallest positive distance stands in.",
    )
    assert ev.provenance["duplicates"] == {
        "policy": "floor",
        "within_real": 4,
        "within_generated": 0,
        "generated_copies_of_real": 0,
    }


def test_copies_kept_as_infinities_without_a_word_from_numpy():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        ev = evaluate(with_copies(), np.concatenate([rows(50, seed=1), with_copies()[4:5]]), k=1, duplicates="keep")
    assert ev["entropy_real"].value == -math.inf
    assert np.flatnonzero(ev["entropy_real"].per_sample == -math.inf).tolist() == [4, 5, 60, 61]
    assert np.isnan(ev["kl_real_fake"].per_sample).tolist() == [i in (4, 60) for i in range(62)]
    assert math.isnan(ev["pce"].standard_error)
    assert math.isfinite(ev["precision"].value)
    assert ev.warnings == (
        "4 of 62 real rows have an exact copy among the real rows.",
        "1 of 51 generated rows are exact copies of real rows.",
    )


def test_a_generator_that_copies_the_real_rows():
    ev = evaluate(rows(60), rows(60), k=1, duplicates="floor", metrics=["precision", "recall"])
    assert ev.warnings[:2] == (
        "both tables hold the same rows: every generated row has its copy as nearest real neighbour, which makes it "
        "look better than new samples could. Set other real rows aside instead.",
        "60 of 60 generated rows are exact copies of real rows.",
    )
    assert ev["precision"].value == ev["recall"].value == 1


def test_all_rows_identical():
    same, other = np.ones((40, 3)), rows(40)
    with pytest.raises(InputError, match=r"40 of 40 rows of the generated table .* row 0 equals row 1\)"):
        evaluate(other, same)
    with pytest.raises(InputError, match="every row of the generated table has its 5th neighbour at distance zero, so"):
        evaluate(other, same, duplicates="floor")
    assert evaluate(other, same, duplicates="keep")["re"].value == -math.inf
    with pytest.raises(InputError, match="of 40 real rows, 40 have a copy at distance zero"):
        evaluate(same, other, dimension="intrinsic")
    ev = evaluate(same, same, metrics=[name for name in ALONE if name not in LOGS])
    assert ev["precision"].value == ev["recall"].value == ev["coverage"].value == 1
    assert ev["frechet"].value == pytest.approx(0, abs=1e-12)


@pytest.mark.parametrize(
    ("k", "word"), [(2, "2nd"), (3, "3rd"), (11, "11th"), (12, "12th"), (13, "13th"), (21, "21st")]
)
def test_neighbours_are_counted_in_words_of_order(k, word):
    with pytest.raises(InputError, match=f"40 of 40 rows of the generated table have their {word} neighbour at dist"):
        evaluate(rows(40), np.ones((40, 3)), k=k, cover=1, metrics=["re"])


def test_policy_that_does_not_exist():
    with pytest.raises(InputError, match="duplicates is 'drop'; it must be one of 'raise', 'floor', 'keep'"):
        evaluate(rows(60), rows(50, seed=1), duplicates="drop")


# ---- rows of zeros


def test_rows_of_zeros_leave_cmmd_out_with_a_warning():
    real, fake = rows(60), rows(50, seed=1)
    real[3], fake[7] = 0, 0
    ev = evaluate(real, fake)
    assert [name for name, _ in ev] == [name for name in ALONE if name != "cmmd"]
    found = "cmmd is left out: 1 of 60 rows of the real table are all zeros, the first is row 3"
    assert ev.warnings[-1].startswith(found)
    with pytest.raises(InputError, match="1 of 60 rows of the real table are all zeros, the first is row 3"):
        evaluate(real, fake, metrics=["cmmd"])


# ---- what is known of the rows, and of the comparison


def test_modes_and_ids_follow_the_table_that_a_metric_is_of():
    real = FeatureTable(rows(60), modes=["a", "b", "c"] * 20, ids=np.arange(100, 160))
    fake = FeatureTable(rows(50, seed=1), modes=[7, 8] * 25, ids=[f"g{i}" for i in range(50)])
    ev = evaluate(real, fake)
    for name in ALONE:
        row = METRICS[name]
        if row.of is None:
            with pytest.raises(InputError, match="this metric is of whole sets"):
                ev[name].by_mode()
            continue
        score, table = ev[name], real if row.of == "real" else fake
        by_mode = score.by_mode()
        assert list(by_mode) == (["a", "b", "c"] if row.of == "real" else [7, 8])
        assert score.ids.tolist() == table.ids.tolist()
        for mode, part in by_mode.items():
            np.testing.assert_array_equal(part.per_sample, score.per_sample[table.modes == mode])
            assert part.ids.tolist() == table.ids[table.modes == mode].tolist()
        assert np.mean([part.value for part in by_mode.values()]) == pytest.approx(score.value, rel=1e-9, abs=1e-12)
    with pytest.raises(InputError, match="the generated table carries no modes"):
        evaluate(real, rows(50, seed=1))["pce"].by_mode()


def test_provenance_says_what_was_compared_with_what():
    real = FeatureTable(rows(60).astype(np.float32), meta={"encoder": "pixels:32"})
    fake = FeatureTable(rows(50, seed=1).astype(np.float32))
    told = evaluate(real, fake, k=(3, 5), cover=2, duplicates="keep", seed=9).provenance
    assert json.loads(json.dumps(told, allow_nan=False)) == told
    assert (told["pointwise"], told["torch"], told["numpy"]) == (
        pointwise.__version__,
        torch.__version__,
        np.__version__,
    )
    assert (told["k"], told["cover"], told["dimension"], told["seed"]) == ([3, 5], 2, 3.0, 9)
    assert (told["device"], told["engine"]) == ("cpu", "auto")
    assert told["real"] == {
        "rows": 60,
        "columns": 3,
        "dtype": "float32",
        "fingerprint": real.fingerprint(),
        "meta": {"encoder": "pixels:32"},
    }
    assert (told["generated"]["rows"], told["generated"]["fingerprint"]) == (50, fake.fingerprint())
    assert "k" not in evaluate(real, fake, metrics=["frechet"]).provenance


def test_inputs_are_left_as_they_are():
    real, fake = rows(60), rows(50, seed=1)
    evaluate(real, fake)
    np.testing.assert_array_equal(real, rows(60))
    np.testing.assert_array_equal(fake, rows(50, seed=1))


def test_torch_and_numpy_give_the_same():
    real, fake = rows(60), rows(50, seed=1)
    assert_identical(evaluate(torch.from_numpy(real), FeatureTable(torch.from_numpy(fake))), evaluate(real, fake))


# ---- randomness


def test_the_seed_is_the_only_source_of_chance():
    real, fake = rows(5200, 2), rows(5100, 2, seed=1)  # more than kid and cmmd use, so that they draw
    numpy_before, torch_before = np.random.get_state(), torch.get_rng_state()  # noqa: NPY002
    first = evaluate(real, fake, metrics=["kid", "cmmd"], seed=4)
    assert str(np.random.get_state()) == str(numpy_before)  # noqa: NPY002
    assert torch.equal(torch.get_rng_state(), torch_before)
    try:
        np.random.seed(123)  # noqa: NPY002
        torch.manual_seed(123)
        again = evaluate(real, fake, metrics=["kid", "cmmd"], seed=4)
    finally:
        np.random.set_state(numpy_before)  # noqa: NPY002
        torch.set_rng_state(torch_before)
    assert_identical(first, again)
    assert evaluate(real, fake, metrics=["kid"], seed=5)["kid"].value != first["kid"].value


# ---- progress


def test_progress_runs_to_the_end_of_every_kind_of_work():
    calls: list[tuple[str, int, int]] = []
    evaluate(Reference(rows(3000), progress=lambda *step: calls.append(step)), rows(2500, seed=1))
    steps: dict[str, list[tuple[int, int]]] = {}
    for what, done, total in calls:
        steps.setdefault(what, []).append((done, total))
    assert list(steps) == [
        "real neighbours",
        "generated neighbours",
        "real and generated",
        "moments, kernels and pairs",
    ]
    for seen in steps.values():
        assert all(0 < done <= total for done, total in seen)
        assert [done for done, _ in seen] == sorted(done for done, _ in seen)
        assert len({total for _, total in seen}) == 1
        assert seen[-1][0] == seen[-1][1]


def test_progress_leaves_out_what_is_not_done():
    calls: list[str] = []
    reference = Reference(rows(60), progress=lambda what, done, total: calls.append(what))
    evaluate(reference, rows(50, seed=1), metrics=["frechet"])
    assert set(calls) == {"moments, kernels and pairs"}
    evaluate(reference, rows(50, seed=1), metrics=["pce"])
    calls.clear()
    evaluate(reference, rows(50, seed=1), metrics=["pce"])
    assert set(calls) == {"generated neighbours", "real and generated"}
