"""pointwise agreement: how well metrics agree with people, on published judgment sets or on a table of one's own."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from typing import Any

import click
import numpy as np

from pointwise._agreement import STATISTICS, Estimate
from pointwise._agreement import agreement as agreement_of
from pointwise._files import atomic_write, require_writable
from pointwise.cli.agreement_table import print_results
from pointwise.cli.bars import Bars
from pointwise.encoders import load_encoder, load_text_encoder
from pointwise.errors import InputError
from pointwise.judgments import SETS, Features, Judgments, Result, differences, load_judgments, results, score
from pointwise.judgments.features import encode_judgments
from pointwise.judgments.own_table import read_own_table
from pointwise.judgments.results import percent
from pointwise.judgments.scoring import PUBLISHED, REFERENCE_METRIC, Scores, checked

_OWN = "own"
_ENCODER = "transformers:openai/clip-vit-base-patch32"


@click.command()
@click.argument("judgments", metavar="SET", type=click.Choice([*SETS, _OWN]))
@click.argument("path", metavar="FOLDER")
@click.option("--encoder", help=f"Of images, and of texts where it can; {_ENCODER}, as published, if left out.")
@click.option("--text-encoder", help="Of texts, where another model is to read them: then mid alone is measured.")
@click.option("--prefix", help="Put before each text; that of the published protocol if left out.")
@click.option("--metrics", "metrics_text", help="Names, or for own columns, separated by commas.")
@click.option("--ridge", type=click.FloatRange(min=0), help="Of mid: added to the diagonal of its covariances.")
@click.option("--reduce", type=click.IntRange(min=1), help="Of mid: principal axes kept of images and of texts.")
@click.option("--human", help="For own: the column of ratings; several raters as a,b,c.")
@click.option("--group", help="For own: the column that says which rows belong together, the image say.")
@click.option("--resamples", type=click.IntRange(min=2), default=1000, show_default=True, help="Of the bootstrap.")
@click.option("--json", "json_path", help="Write all results here; - for stdout instead of the table.")
@click.option("--device", help="cpu or cuda.")
@click.option("--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of all that is drawn.")
def agreement(
    *,
    judgments: str,
    path: str,
    encoder: str | None,
    text_encoder: str | None,
    prefix: str | None,
    metrics_text: str | None,
    ridge: float | None,
    reduce: int | None,
    human: str | None,
    group: str | None,
    resamples: int,
    json_path: str | None,
    device: str | None,
    seed: int,
) -> None:
    """How well metrics agree with people, each with its interval.

    SET is a published set of human judgments: flickr8k-expert, flickr8k-cf, pascal-50s, foil or mid-amt. FOLDER holds
    the files that it is published as, at any depth. Each image and text is encoded once, and our numbers stand beside
    the published ones.

    For a table of your own: own FILE --human COLUMN, where FILE is .csv, .tsv, .jsonl, .json or .parquet with a column
    of ratings and one for each metric.
    """
    metrics = None if metrics_text is None else _names(metrics_text, "--metrics")
    _refuse_options(
        judgments,
        {"--human": human, "--group": group}
        if judgments != _OWN
        else {
            "--encoder": encoder,
            "--text-encoder": text_encoder,
            "--prefix": prefix,
            "--ridge": ridge,
            "--reduce": reduce,
            "--device": device,
        },
    )
    if json_path not in (None, "-"):
        require_writable(str(json_path))
    if judgments == _OWN:
        rows, report = _own(path, human, metrics, group, resamples=resamples, seed=seed)
        note = f"Intervals and p are by the bootstrap over {f'groups by {group}' if group else 'rows'}."
    else:
        judged = load_judgments(judgments, path, seed=seed)
        encoder = encoder or _ENCODER
        chosen = _chosen(judged, metrics, one_space=text_encoder in (None, encoder))
        features, names = _features(judged, encoder, text_encoder or encoder, prefix, device)
        scores = score(judged, features, metrics=chosen, ridge=ridge or 0.0, reduce=reduce, seed=seed)
        rows = results(judged, scores, resamples=resamples, seed=seed)
        report = {"set": judged.name, "source": path, **names, "ridge": ridge or 0.0, "reduce": reduce}
        report |= _about(judged, features)
        report["pairs"] = _pairs(judged, scores)
        note = _note(judged, names, fitted="mid" in chosen)
    report = {"resamples": resamples, "seed": seed, **report}
    report["results"] = [_row(row) for row in rows]
    report["differences"] = [
        {"statistic": statistic, "metric": one, "other": other, **_numbers(difference), "p_value": difference.p_value}
        for statistic, one, other, difference in differences(rows)
    ]
    content = json.dumps(report, indent=1, allow_nan=False)
    if json_path == "-":
        click.echo(content)
        return
    if json_path:
        with atomic_write(json_path) as file:
            file.write(content.encode())
    print_results(rows, note)
    if json_path:
        click.echo(f"Everything is in {json_path}.")


def _names(text: str, option: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError(f"{option} is empty; give names separated by commas, or leave it out.")
    return list(dict.fromkeys(names))


def _refuse_options(judgments: str, options: Mapping[str, object]) -> None:
    for option, value in options.items():
        if value is not None:
            kind = "a published set" if judgments == _OWN else "a table of your own (own FILE)"
            raise InputError(f"{option} is for {kind}, not for {judgments}; leave it out.")


def _chosen(judged: Judgments, metrics: Sequence[str] | None, *, one_space: bool) -> Sequence[str]:
    """The metrics asked for, or those with published numbers that apply."""
    if metrics is None:
        if not one_space:
            _warn("images and texts are read by two models, so that cosines have no meaning: mid alone is measured.")
        fitting = PUBLISHED if one_space else ("mid",)
        return [name for name in fitting if judged.references or name != REFERENCE_METRIC]
    cosines = [name for name in checked(metrics, judged) if name != "mid"]
    if cosines and not one_space:
        raise InputError(
            f"{', '.join(cosines)} compare images and texts by their cosine, which has no meaning between two models; "
            "leave --text-encoder out, or take --metrics mid."
        )
    return metrics


def _features(
    judged: Judgments, encoder: str, text_encoder: str, prefix: str | None, device: str | None
) -> tuple[Features, dict[str, str]]:
    """Features of a set, and by which encoders and with which prefix they were made."""
    try:
        of_images = load_encoder(encoder, device=device)
        of_texts = load_text_encoder(text_encoder, device=device)
    except InputError as error:
        if encoder != _ENCODER:
            raise
        raise InputError(
            f"{error} (Without --encoder it is {_ENCODER}, as published; where there is no network, copy the folder of "
            "that model here and give it as --encoder FOLDER.)"
        ) from None
    prefix = judged.prefix if prefix is None else prefix
    with Bars() as bars:
        features = encode_judgments(judged, of_images, of_texts, prefix=prefix, say=_warn, progress=bars)
    if features.shortened:
        _warn(
            f"{features.shortened} of {len(judged.texts)} texts have more than the {of_texts.max_tokens} tokens that "
            f"{of_texts.name} reads; their ends were cut."
        )
    return features, {"encoder": of_images.name, "text_encoder": of_texts.name, "prefix": prefix}


def _warn(sentence: str) -> None:
    click.echo(f"warning: {sentence}", err=True)


def _own(
    path: str, human: str | None, metrics: Sequence[str] | None, group: str | None, *, resamples: int, seed: int
) -> tuple[list[Result], dict[str, Any]]:
    """All statistics of each metric of a user's table."""
    if human is None:
        raise InputError("own needs --human COLUMN, the column of ratings; several raters as --human a,b,c.")
    raters = _names(human, "--human")
    table = read_own_table(path, human=raters, metrics=metrics, group=group)
    for sentence in table.left_out:
        _warn(sentence)
    found = agreement_of(table.scores, table.human, groups=table.groups, resamples=resamples, seed=seed)
    rows = [
        Result(metric, statistic, percent(found[metric, statistic]), found.n)
        for metric in table.scores
        for statistic in STATISTICS
    ]
    return rows, {"set": _OWN, "source": path, "human": raters, "group": group}


def _about(judged: Judgments, features: Features) -> dict[str, int]:
    return {
        "judged_pairs": len(judged),
        "images": len(judged.images),
        "texts": len(judged.texts),
        "shortened_texts": features.shortened,
        "fitted_pairs": len(judged.fit),
    }


def _pairs(judged: Judgments, scores: Scores) -> list[dict[str, Any]]:
    """Each judged pair with its scores, means over the draws of references."""
    means = {
        metric + (f", {variant}" if variant and metric == REFERENCE_METRIC else ""): np.mean(draws, axis=0)
        for (metric, variant), draws in scores.items()
    }
    return [
        {
            "image": str(judged.images.ids[image]),
            "text": judged.texts[text],
            **{name: float(values[i]) for name, values in means.items()},
        }
        for i, (image, text) in enumerate(judged.pairs.tolist())
    ]


def _row(row: Result) -> dict[str, Any]:
    return {
        "metric": row.metric,
        "statistic": row.statistic,
        **_numbers(row.estimate),
        "n": row.n,
        "published": row.published,
    }


def _numbers(estimate: Estimate) -> dict[str, float | None]:
    """In hundredths of the statistic; null where an end of the interval is not known."""
    low, high = (None if math.isnan(end) else end for end in estimate.interval())
    return {"value": estimate.value, "low": low, "high": high}


def _note(judged: Judgments, names: Mapping[str, str], *, fitted: bool) -> str:
    by = " and ".join(dict.fromkeys((names["encoder"], names["text_encoder"])))
    prefix = f', texts after "{names["prefix"]}"' if names["prefix"] else ""
    fit = f"; mid is fitted on {len(judged.fit)} pairs of an image and a reference caption" if fitted else ""
    published = " Published numbers are of CLIP ViT-B/32: docs/judgments.md." if judged.published else ""
    return f"Intervals and p are by the bootstrap over images. Encoded by {by}{prefix}{fit}.{published}"
