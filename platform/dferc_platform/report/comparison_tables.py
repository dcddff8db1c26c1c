"""What else a comparison can be asked: scores by condition and by class, every pair, what was published."""

from collections.abc import Mapping, Sequence

import numpy as np

from dferc.evaluation.conditions import (
    Groups,
    dialogue_length,
    emotion_shift,
    group_score,
    seen_speaker,
    telling,
    turn_position,
)
from dferc_platform.report.comparison import METRIC, Comparison
from dferc_platform.report.html import Titled
from dferc_platform.report.published import known_corpora
from dferc_platform.report.runs import metric_title
from dferc_platform.report.tables import Cell, Probability, Table

BOLD = "Bold: the highest of its column, which need not be told apart from the next."
CONDITIONS_NOTE = (
    f"Test {metric_title(METRIC)} (%) of the utterances in a condition, n of them, mean over seeds. Compare models "
    "within a column: columns differ in their classes. Emotion shift: the label differs from that of the same "
    "speaker's utterance before, in the same dialogue; turns are counted from 1; lengths part the test dialogues into "
    f"thirds. {BOLD}"
)
CLASSES_NOTE = (
    f"F1 (%) on test, mean over seeds; n: test utterances of the class. Rare classes move most by chance. {BOLD}"
)
PAIRS_NOTE = (
    "p of Wilcoxon's signed-rank test on the accuracy in each test dialogue, corrected by Holm for the number of "
    "pairs, models by average rank. Bold: below 0.05, the two can be told apart. A larger p does not say that two "
    "models are equal, only that these dialogues do not tell."
)
PUBLISHED_NOTE = (
    "Where each number was read; none was checked against the paper itself unless it says so. They come from other "
    "features and were mostly chosen on test: a difference to the scores above is neither progress nor failure."
)


def further_tables(found: Comparison) -> tuple[Titled, ...]:
    """All that the folder has the numbers for."""
    tables = [
        Titled("published", "What was published", published_table(found)),
        Titled("conditions", "Scores by kind of utterance", conditions_table(found)),
        Titled("classes", "Scores by class", classes_table(found)),
        Titled("pairs", "Which pairs can be told apart", pairs_table(found)),
    ]
    return tuple(titled for titled in tables if titled.table.rows and len(titled.table.columns) > 1)


def left_out(found: Comparison) -> tuple[str, ...]:
    """What is not shown, and why."""
    scored, said = next(iter(found.scored.values())), []
    corpus = str(found.study.card.get("name", ""))
    if corpus.lower() not in known_corpora():
        said.append(f"No published scores are recorded for the corpus {corpus or found.study.corpus}.")
    if scored.speakers is None:
        said.append("Emotion shift is not shown: the runs did not keep who speaks.")
    if scored.seen is None:
        said.append("Seen and unseen speakers are not shown: the runs did not keep who speaks in train.")
    elif not telling(seen_speaker(scored.seen), scored.labels):
        every = "every" if scored.seen.any() else "no"
        note = str(found.study.card.get("speaker_note", ""))
        meaning = f" (a speaker's name: {note})" if note else ""
        said.append(f"Seen and unseen speakers are not compared: {every} test speaker's name occurs in train{meaning}.")
    if found.ranking is None:
        said.append("Average ranks are not shown: they need at least three models with a score.")
    return tuple(said)


def conditions_table(found: Comparison) -> Table:
    """A row a model, a column a condition of the utterance."""
    conditions, classes = _conditions(found), len(found.labels)
    scores = [
        [group_score(s.labels, s.predicted, mask, classes, METRIC) for mask in conditions.values()]
        for s in found.scored.values()
    ]
    heads = [f"{name} (n={int(mask.sum())})" for name, mask in conditions.items()]
    note = str(found.study.card.get("speaker_note", ""))
    meaning = f" A speaker's name: {note}." if note and "seen speakers" in conditions else ""
    return _scores_table(found, heads, scores, CONDITIONS_NOTE + meaning)


def classes_table(found: Comparison) -> Table:
    """A row a model, a column a class."""
    labels = next(iter(found.scored.values())).labels
    support = np.bincount(labels[labels >= 0], minlength=len(found.labels))
    heads = [f"{name} (n={count})" for name, count in zip(found.labels, support, strict=True)]
    intervals = [[s.entry.interval(f"test/f1/{name}") for name in found.labels] for s in found.finished]
    scores = [[None if interval is None else interval.mean for interval in row] for row in intervals]
    return _scores_table(found, heads, scores, CLASSES_NOTE)


def pairs_table(found: Comparison) -> Table:
    """p of each pair of models, by average rank: each row against the models above it."""
    if found.ranking is None:
        return Table((), ())
    order = np.argsort(found.ranking.mean_ranks, kind="stable")
    names, p = list(found.scored), found.ranking.pairs[np.ix_(order, order)]
    rows: list[tuple[Cell, ...]] = [
        (f"{place + 1} {names[model]}", float(found.ranking.mean_ranks[model]), *_upto(p[place], place))
        for place, model in enumerate(order)
    ]
    told = frozenset((row, column + 2) for row, column in zip(*np.nonzero(np.tril(p < 0.05, -1)), strict=True))
    columns = ("model", "average rank", *(str(place + 1) for place in range(len(order) - 1)))
    return Table(columns, tuple(rows), note=PAIRS_NOTE, strong=told)


def published_table(found: Comparison) -> Table:
    """A row a model: the number and where it was read, or why there is none."""
    if str(found.study.card.get("name", "")).lower() not in known_corpora():
        return Table((), ())
    rows: list[tuple[Cell, ...]] = []
    for standing in found.standings:
        known = standing.published
        source = "not recorded" if known is None else known.source
        caution = f". Caution: {known.caution}" if known and known.caution else ""
        rows.append((standing.entry.model, known.weighted_f1 if known else None, source + caution))
    columns = ("model", f"published {metric_title(METRIC)}", "source")
    return Table(columns, tuple(rows), note=PUBLISHED_NOTE, prose=True)


def _conditions(found: Comparison) -> Groups:
    """Those of which the test set has at least two kinds."""
    scored = next(iter(found.scored.values()))
    kinds: list[Mapping[str, np.ndarray]] = []
    if scored.speakers is not None:
        kinds.append(emotion_shift(scored.labels, scored.dialogues, scored.speakers))
    kinds += [turn_position(scored.dialogues), dialogue_length(scored.dialogues)]
    if scored.seen is not None:
        kinds.append(seen_speaker(scored.seen))
    return {name: mask for kind in kinds for name, mask in telling(kind, scored.labels).items()}


def _scores_table(
    found: Comparison, heads: Sequence[str], scores: Sequence[Sequence[float | None]], note: str
) -> Table:
    """Finished models against columns of scores; the best of each column is stressed."""
    rows: list[tuple[Cell, ...]] = [(s.entry.model, *row) for s, row in zip(found.finished, scores, strict=True)]
    values = np.array(scores, dtype=float)
    best = frozenset(
        (int(row), column + 1)
        for column in range(len(heads))
        for row in np.flatnonzero(values[:, column] == np.max(values[:, column], initial=-np.inf))
    )
    return Table(("model", *heads), tuple(rows), note=note, strong=best)


def _upto(p: np.ndarray, place: int) -> list[Cell]:
    """p against each better model, nothing from the diagonal on."""
    return [Probability(value) for value in p[:place]] + [""] * (len(p) - 1 - place)
