"""What the scores say of generators whose failures are known, each against the unharmed model."""

from collections.abc import Iterator, Mapping

from pointwise._text import readable
from pointwise.comparison import Comparison
from pointwise.demo import digits
from pointwise.evaluation import Evaluation

# What was done to the model, and how the theory says that metrics must move.
FAILURES: Mapping[str, tuple[str, Mapping[str, str]]] = {
    "dropped": (
        f"the digits {' and '.join(map(str, digits.DROPPED))} are never generated",
        {"rce": "rises", "recall_cover": "falls"},
    ),
    "shrunk": ("every sample sits at a third of its distance from the mean of its class", {"re": "falls"}),
    "invented": (f"{digits.INVENTED:.0%} of samples are halfway between two classes", {"pce": "rises"}),
    "copied": (f"{digits.COPIED:.0%} of samples are copies of training digits", {}),
}


def findings(comparison: Comparison, copies: Mapping[str, int]) -> Iterator[str]:
    """Yield a sentence for each generator, read from the numbers: a metric that fails to move as it should is named.

    `copies` is how many samples of each generator are at distance zero from a training digit.
    """
    perfect = comparison["held-out"]
    near_zero = ", ".join(f"{name} {readable(perfect[name].value)}" for name in ("pce", "rce", "re"))
    yield f"held-out: real digits that were set aside, so a perfect generator: {near_zero}: what chance leaves of 0."
    for name, (done, expected) in FAILURES.items():
        moves = [_movement(metric, direction, comparison, name) for metric, direction in expected.items()]
        sentence = f"{name}: {'; '.join([done, *moves])}."
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
    count = len(digits.DROPPED)
    losses, covers = evaluation["kl_real_fake"].by_mode(), evaluation["recall_cover"].by_mode()
    worst_loss = sorted(losses, key=lambda mode: -losses[mode].value)[:count]
    worst_cover = sorted(covers, key=lambda mode: covers[mode].value)[:count]
    return (
        f"By mode, kl_real_fake is highest for {' and '.join(map(str, sorted(worst_loss)))}, "
        f"recall cover lowest for {' and '.join(map(str, sorted(worst_cover)))}."
    )
