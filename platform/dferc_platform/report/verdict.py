"""What a sensitivity study answers, in words that claim no more than its seeds support."""

import math
from collections.abc import Sequence

from dferc.evaluation.statistics import Interval
from dferc_platform.report.runs import metric_title, number
from dferc_platform.report.sensitivity import Level, Sensitivity


def verdict(found: Sensitivity) -> tuple[str, ...]:
    """The answer first: what to choose; then how much it matters, the published value, what limits the claim."""
    sentences = [_headline(found), _read_off(found), _others(found), _against_default(found), *_limits(found)]
    return tuple(sentence for sentence in sentences if sentence)


def points(value: Interval) -> str:
    """A difference with its interval, in points: '+0.31 points (95 % interval −0.50 to +1.12)'."""
    ends = "" if math.isnan(value.low) else f" (95 % interval {_signed(value.low)} to {_signed(value.high)})"
    return f"{_signed(value.mean)} points{ends}"


def _headline(found: Sensitivity) -> str:
    at, name = number(found.best.value), found.setting
    if len(found.levels) == 1:
        return f"Only {name} = {at} was tried, so nothing can be said of its sensitivity."
    if found.seeds[0] == 1:
        return f"{name} = {at} comes out best, but some values have one seed only: too few to tell values apart."
    first, last = (number(level.value) for level in (found.flat[0], found.flat[-1]))
    if len(found.flat) == len(found.levels):
        return f"No value of {name} from {first} to {last} can be told from the best, {at}, with {_seeds(found)}."
    if len(found.flat) == 1:
        return f"Choose {name} = {at}: no neighbouring value scores about as well."
    return f"Choose {name} = {at}; from {first} to {last} the choice cannot be told apart with {_seeds(found)}."


def _read_off(found: Sensitivity) -> str:
    chosen = _score(found.best.interval(f"validation/{found.metric}"))
    value = f"{found.setting} = {number(found.best.value)}"
    text = f"Validation chooses {value}, with a mean {metric_title(found.metric)} of {chosen}"
    if not found.scores_test:
        return f"{text}. Test was not scored by every run, so no test score is given."
    return f"{text}; its test score, read off and not chosen, is {_score(found.best.interval(found.read_off))}."


def _others(found: Sensitivity) -> str:
    unclear = [level for level in found.levels if level not in (*found.flat, *found.worse)]
    sentences = []
    if found.worse:
        sentences.append(f"Worse beyond what seeds explain: {_values(found, found.worse)}.")
    if unclear and found.seeds[0] > 1:
        sentences.append(f"Lower, but not beyond what seeds explain: {_values(found, unclear)}.")
    return " ".join(sentences)


def _against_default(found: Sensitivity) -> str:
    if found.reference is None:
        return ""
    name = f"{found.setting} = {number(found.reference.value)}"
    if found.reference is found.best:
        return f"The published default, {name}, is the value that validation chooses."
    gap = found.best.difference(found.reference, found.read_off)
    if gap is None:
        return f"No seed was run at both the chosen value and the published default, {name}."
    split = found.read_off.split("/")[0]
    if round(gap.low, 2) == round(gap.high, 2) == 0:
        return f"The published default, {name}, scores the same on {split}, seed by seed."
    change = f"the chosen value makes {points(gap)} on {split}, paired by seed{_reading(gap)}"
    return f"Against the published default, {name}, {change}."


def _reading(gap: Interval) -> str:
    if math.isnan(gap.low):
        return ""
    return (
        ": no difference that could be told from chance" if gap.low <= 0 <= gap.high else ": more than chance explains"
    )


def _limits(found: Sensitivity) -> list[str]:
    sentences = []
    if len(found.levels) > 1 and found.best in (found.levels[0], found.levels[-1]):
        beyond = "smaller" if found.best is found.levels[0] else "larger"
        sentences.append(f"The best value is the last one tried on its side: {beyond} ones might be better still.")
    if not math.isnan(found.resolution):
        hidden = f"differences below about {found.resolution:.1f} points stay hidden"
        sentences.append(f"With {_seeds(found)}, {hidden}; more seeds would show smaller ones.")
    fewest, most = found.seeds
    if fewest < most:
        short = [level for level in found.levels if len(level.rows) == fewest]
        missing = f"{_values(found, short)}: {fewest} of {most}"
        sentences.append(f"Not every value has all its seeds ({missing}): compare these with care.")
    return sentences


def _values(found: Sensitivity, levels: Sequence[Level]) -> str:
    return f"{found.setting} = {', '.join(number(level.value) for level in levels)}"


def _seeds(found: Sensitivity) -> str:
    fewest, most = found.seeds
    return f"{most} seeds" if fewest == most else f"{fewest} to {most} seeds"


def _score(interval: Interval) -> str:
    ends = "" if math.isnan(interval.low) else f" (95 % interval {interval.low:.2f} to {interval.high:.2f})"
    return f"{interval.mean:.2f}{ends}"


def _signed(value: float) -> str:
    return f"{value:+.2f}".replace("-", "−")
