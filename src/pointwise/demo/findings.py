"""What the scores say of generators whose failures are known, each against the unharmed model."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass

from pointwise._text import readable
from pointwise.comparison import Comparison
from pointwise.demo import digits
from pointwise.evaluation import Evaluation


@dataclass(frozen=True)
class Failure:
    """What was done to the model, and the metrics that the theory says must show it: (name, "rises" or "falls")."""

    generator: str
    done: str
    expected: tuple[tuple[str, str], ...]


FAILURES = (
    Failure(
        "dropped",
        f"the digits {' and '.join(map(str, digits.DROPPED))} are never generated",
        (("rce", "rises"), ("recall_cover", "falls")),
    ),
    Failure("shrunk", "every sample sits at a third of its distance from the mean of its class", (("re", "falls"),)),
    Failure("invented", f"{digits.INVENTED:.0%} of samples are halfway between two classes", (("pce", "rises"),)),
    Failure("copied", f"{digits.COPIED:.0%} of samples are copies of training digits", ()),
)


def findings(comparison: Comparison, copies: Mapping[str, int]) -> Iterator[str]:
    """Yield a sentence for each generator, read from the numbers: a metric that fails to move as it should is named.

    Args:
        comparison: of the demo's generators with the training digits.
        copies: of each generator, how many samples are at distance zero from a training digit.
    """
    perfect = comparison["held-out"]
    near_zero = ", ".join(f"{name} {readable(perfect[name].value)}" for name in ("pce", "rce", "re"))
    yield f"held-out: real digits that were set aside, so a perfect generator: {near_zero}: what chance leaves of 0."
    for failure in FAILURES:
        name = failure.generator
        moves = "; ".join(_movement(metric, expected, comparison, name) for metric, expected in failure.expected)
        sentence = f"{name}: {failure.done}{'; ' * bool(moves)}{moves}."
        if name == "dropped":
            sentence += " " + _worst_modes(comparison[name])
        if copies[name]:
            sentence += (
                f" {copies[name]} samples are at distance zero from a training digit"
                f" ({copies['held-out']} of the held-out digits are): by pce per sample at k = 1 they come first."
            )
        elif name == "copied":
            sentence += " None is at distance zero from a training digit, though they should be."
        yield sentence


def _movement(metric: str, expected: str, comparison: Comparison, generator: str) -> str:
    """How a metric moved: a rise or a fall only where the interval of the paired difference leaves 0 out."""
    low, high = comparison.difference(generator, "model")[metric].interval()
    seen = "rises" if low > 0 else "falls" if high < 0 else "does not move"
    verdict = "" if seen == expected else f", though it should have {'risen' if expected == 'rises' else 'fallen'}"
    before, after = comparison["model"][metric].value, comparison[generator][metric].value
    return f"{metric} {seen} from {readable(before)} to {readable(after)}{verdict}"


def _worst_modes(evaluation: Evaluation) -> str:
    by_loss = evaluation["kl_real_fake"].by_mode()
    by_cover = evaluation["recall_cover"].by_mode()
    count = len(digits.DROPPED)
    worst_loss = sorted(by_loss, key=lambda mode: -by_loss[mode].value)[:count]
    worst_cover = sorted(by_cover, key=lambda mode: by_cover[mode].value)[:count]
    return (
        f"By mode, kl_real_fake is highest for {' and '.join(map(str, sorted(worst_loss)))}, "
        f"recall cover lowest for {' and '.join(map(str, sorted(worst_cover)))}."
    )
