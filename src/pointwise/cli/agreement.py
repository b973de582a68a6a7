"""pointwise agreement: how well metrics agree with people, on published judgment sets or on a table of one's own."""

import json
from collections.abc import Sequence
from functools import partial
from typing import Any

import click

from pointwise.cli.bars import Bars
from pointwise.cli.results import json_option, show
from pointwise.cli.sources import warn
from pointwise.cli.tables import console, table_of
from pointwise.encoders import load_encoder, load_text_encoder
from pointwise.encoders.protocol import Encoder, TextEncoder
from pointwise.errors import InputError
from pointwise.judgments import SETS, Judgments, Result, differences, encode_judgments, load_judgments, results, score
from pointwise.judgments.own_table import read_own_table
from pointwise.judgments.result import own_results
from pointwise.judgments.scoring import applicable, by_pair
from pointwise.score import Score

_OWN = "own"
_ENCODER = "transformers:openai/clip-vit-base-patch32"
_LABELS = {
    "kendall_b": "Kendall τ-b",
    "kendall_c": "Kendall τ-c",
    "spearman": "Spearman ρ",
    "pearson": "Pearson r",
    "pairwise_accuracy": "pairwise accuracy",
}


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
@json_option
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
    own = judgments == _OWN
    of_own: dict[str, object] = {"--human": human, "--group": group}
    of_sets: dict[str, object] = {"--encoder": encoder, "--text-encoder": text_encoder, "--prefix": prefix}
    of_sets |= {"--ridge": ridge, "--reduce": reduce, "--device": device}
    for option, value in (of_sets if own else of_own).items():
        if value is not None:
            kind = "a published set" if own else "a table of your own (own FILE)"
            raise InputError(f"{option} is for {kind}, not for {judgments}; leave it out.")
    report: dict[str, Any] = {"resamples": resamples, "seed": seed, "set": judgments, "source": path}
    if own:
        if human is None:
            raise InputError("own needs --human COLUMN, the column of ratings; several raters as --human a,b,c.")
        raters = _names(human, "--human")
        table = read_own_table(path, human=raters, metrics=metrics, group=group)
        for sentence in table.left_out:
            warn(sentence)
        rows = own_results(table, resamples=resamples, seed=seed)
        report |= {"human": raters, "group": group}
        note = f"Intervals and p are by the bootstrap over {f'groups by {group}' if group else 'rows'}."
    else:
        judged = load_judgments(judgments, path, seed=seed)
        encoder = encoder or _ENCODER
        text_encoder = text_encoder or encoder
        prefix = judged.prefix if prefix is None else prefix
        chosen = applicable(judged, metrics, one_space=text_encoder == encoder, say=warn)
        encoders = _encoders(encoder, text_encoder, device)
        with Bars() as bars:
            features = encode_judgments(judged, *encoders, prefix=prefix, say=warn, progress=bars)
        scores = score(judged, features, metrics=chosen, ridge=ridge or 0.0, reduce=reduce, seed=seed)
        rows = results(judged, scores, resamples=resamples, seed=seed)
        by = [each.name for each in encoders]
        report |= {"encoder": by[0], "text_encoder": by[1], "prefix": prefix, "ridge": ridge or 0.0, "reduce": reduce}
        report |= {"judged_pairs": len(judged), "images": len(judged.images), "texts": len(judged.texts)}
        report |= {"shortened_texts": features.shortened, "fitted_pairs": len(judged.fit)}
        report["pairs"] = by_pair(judged, scores)
        note = _note(judged, by, prefix, fitted="mid" in chosen)
    report["results"] = [row.to_dict() for row in rows]
    report["differences"] = [
        {"statistic": statistic, "metric": one, "other": other, **difference.to_dict()}
        | {"p_value": difference.p_value}
        for statistic, one, other, difference in differences(rows)
    ]
    show(json_path, partial(json.dumps, report, indent=1, allow_nan=False), partial(_print, rows, note))


def _names(text: str, option: str) -> list[str]:
    names = [name.strip() for name in text.split(",") if name.strip()]
    if not names:
        raise InputError(f"{option} is empty; give names separated by commas, or leave it out.")
    return list(dict.fromkeys(names))


def _encoders(encoder: str, text_encoder: str, device: str | None) -> tuple[Encoder, TextEncoder]:
    try:
        return load_encoder(encoder, device=device), load_text_encoder(text_encoder, device=device)
    except InputError as error:
        if encoder != _ENCODER:
            raise
        raise InputError(
            f"{error} (Without --encoder it is {_ENCODER}, as published; where there is no network, copy the folder of "
            "that model here and give it as --encoder FOLDER.)"
        ) from None


def _note(judged: Judgments, encoders: Sequence[str], prefix: str, *, fitted: bool) -> str:
    by = " and ".join(dict.fromkeys(encoders))
    after = f', texts after "{prefix}"' if prefix else ""
    fit = f"; mid is fitted on {len(judged.fit)} pairs of an image and a reference caption" if fitted else ""
    published = " Published numbers are of CLIP ViT-B/32: docs/judgments.md." if judged.published else ""
    return f"Intervals and p are by the bootstrap over images. Encoded by {by}{after}{fit}.{published}"


def _print(rows: Sequence[Result], note: str) -> None:
    """Each statistic of each metric, beside the published number, and the differences between metrics."""
    out = console()
    published = any(row.published is not None for row in rows)
    columns = ("ours", "95% interval", "published", "n") if published else ("value", "95% interval", "n")
    table = table_of("statistic", "metric", numbers=columns)
    statistics = list(dict.fromkeys(row.statistic for row in rows))
    for row in sorted(rows, key=lambda row: statistics.index(row.statistic)):
        number = [] if not published else ["-" if row.published is None else f"{row.published:.1f}"]
        label = _LABELS.get(row.statistic, row.statistic)
        table.add_row(label, row.metric, *_cells(row.estimate), *number, str(row.n))
    out.print(table)
    between = differences(rows)
    if between:
        out.print("Differences between metrics, on the same resamples:")
        table = table_of("statistic", "first - second", numbers=("difference", "95% interval", "p"))
        for statistic, one, other, difference in sorted(between, key=lambda row: statistics.index(row[0])):
            label = _LABELS.get(statistic, statistic)
            table.add_row(label, f"{one} - {other}", *_cells(difference), f"{difference.p_value:.2g}")
        out.print(table)
    out.print(f"All numbers are 100 times the statistic. {note}", soft_wrap=True)


def _cells(estimate: Score) -> tuple[str, str]:
    low, high = estimate.interval()
    return f"{estimate.value:.2f}", f"{low:.2f} to {high:.2f}"
