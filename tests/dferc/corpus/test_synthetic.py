"""The synthetic corpus tells the truth about itself: what it says of an utterance is what a plain classifier finds."""

import numpy as np
import pytest
from pydantic import ValidationError
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import f1_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from dferc.corpus import SPLITS, Corpus
from dferc.corpus.synthetic import EMOTIONS, MODALITIES, TINY, SyntheticConfig, default_path, generate
from dferc.corpus.synthetic.texts import WORDS


@pytest.fixture(scope="module")
def corpus():
    return generate()


@pytest.fixture(scope="module")
def vectors(corpus):
    """Vectors by modality, zero where it is missing."""
    return {name: corpus.features(name) * corpus.present(name)[:, None] for name in MODALITIES}


@pytest.fixture(scope="module")
def predictions(corpus, vectors):
    """What logistic regression says of every row from each set of features."""
    together = np.concatenate(list(vectors.values()), axis=1)
    around = np.concatenate([together, *(neighbours(corpus, together, step) for step in (-2, -1, 1, 2))], axis=1)
    features = vectors | {"all": together, "context": around}
    train = corpus.rows("train")
    found = {}
    for name, values in features.items():
        classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.02, max_iter=300))
        found[name] = classifier.fit(values[train], corpus.labels[train]).predict(values)
    return found


def neighbours(corpus, values, step):
    """Each row's neighbour ``step`` utterances away, zeros past the ends of the dialogue."""
    found = np.zeros_like(values)
    for dialogue in corpus.dialogues:
        rows = np.arange(dialogue.start, dialogue.stop)
        inside = (rows + step >= dialogue.start) & (rows + step < dialogue.stop)
        found[rows[inside]] = values[rows[inside] + step]
    return found


@pytest.fixture(scope="module")
def score(corpus, predictions):
    """Weighted F1 on some test rows, in percent."""

    def of(name, chosen=None):
        rows = corpus.rows("test")
        rows = rows if chosen is None else rows[chosen[rows]]
        return 100 * f1_score(corpus.labels[rows], predictions[name][rows], average="weighted")

    return of


def test_the_same_config_makes_the_same_corpus():
    assert generate(TINY).fingerprint == generate(TINY).fingerprint
    assert generate(TINY.model_copy(update={"seed": 1})).fingerprint != generate(TINY).fingerprint


def test_the_default_corpus_never_changes_silently(corpus):
    """Whoever changes it raises ``VERSION`` and this fingerprint together: published numbers hang on it."""
    assert corpus.fingerprint.startswith("ca9f248bdec5ca9c")


def test_a_knob_of_one_part_leaves_the_others_as_they_were():
    plain, louder = generate(TINY), generate(TINY.model_copy(update={"noise": 0.9, "missing": 0.0}))
    assert np.array_equal(plain.labels, louder.labels)
    assert np.array_equal(plain.truth("conflict"), louder.truth("conflict"))
    assert plain.speakers.tolist() == louder.speakers.tolist()


def test_counts_and_columns(corpus):
    config = SyntheticConfig()
    counts = (config.train_dialogues, config.validation_dialogues, config.test_dialogues)
    assert tuple(len(corpus.split(name)) for name in SPLITS) == counts
    lengths = {len(dialogue) for dialogue in corpus.dialogues}
    assert min(lengths) == config.shortest
    assert max(lengths) == config.longest
    assert corpus.card.widths == {name: channel.width for name, channel in config.channels.items()}
    assert corpus.truth_names == ("ambiguous", "conflict", *(f"reliability.{name}" for name in MODALITIES))
    assert all(corpus.label_counts(name).all() for name in SPLITS)
    assert max(corpus.parties) == config.most_parties - 1


def test_shares_are_as_configured(corpus):
    config = SyntheticConfig()
    share = np.bincount(corpus.labels, minlength=len(EMOTIONS)) / len(corpus.labels)
    assert np.abs(share - config.prior).max() < 0.06
    assert share.argmax() == 0
    assert corpus.truth("ambiguous").mean() == pytest.approx(config.ambiguous, abs=0.02)
    assert corpus.truth("conflict").mean() == pytest.approx(config.conflict, abs=0.02)
    assert not (corpus.truth("ambiguous") & corpus.truth("conflict")).any()
    absent = np.mean([~corpus.present(name) for name in MODALITIES], axis=0)
    assert absent.max() == pytest.approx(1 / 3)
    assert 3 * absent.mean() == pytest.approx(config.missing, abs=0.015)


def test_emotions_last_and_spread(corpus):
    same_speaker, same_turn = [], []
    for dialogue in corpus.dialogues:
        labels, speakers = (
            corpus.labels[dialogue.start : dialogue.stop],
            corpus.speakers[dialogue.start : dialogue.stop],
        )
        same_turn += (labels[1:] == labels[:-1])[speakers[1:] != speakers[:-1]].tolist()
        for name in set(speakers):
            own = labels[speakers == name]
            same_speaker += (own[1:] == own[:-1]).tolist()
    chance = np.square(np.bincount(corpus.labels) / len(corpus.labels)).sum()
    assert np.mean(same_speaker) > chance + 0.3
    assert np.mean(same_turn) > chance + 0.3


def test_modalities_help_each_other_and_context_helps_them(score):
    single = [score(name) for name in MODALITIES]
    assert min(single) > 35
    assert max(single) + 8 < score("all")
    assert score("all") + 4 < score("context")
    assert 50 < score("all") < score("context") < 80


def test_accuracy_grows_with_true_reliability(corpus, predictions):
    rows = corpus.rows("test")
    rows = rows[~corpus.truth("conflict")[rows]]
    for name in MODALITIES:
        reliability = corpus.truth(f"reliability.{name}")[rows]
        right = (predictions[name] == corpus.labels)[rows]
        low, middle, high = (
            right[reliability < 0.2],
            right[(reliability >= 0.2) & (reliability < 0.6)],
            right[reliability >= 0.6],
        )
        assert low.mean() + 0.05 < middle.mean() < high.mean()
        assert high.mean() > low.mean() + 0.2


def test_reliability_can_be_read_from_the_vector(corpus, vectors):
    train, test = corpus.rows("train"), corpus.rows("test")
    for name in MODALITIES:
        truth = corpus.truth(f"reliability.{name}")
        found = Ridge().fit(vectors[name][train], truth[train]).predict(vectors[name][test])
        assert np.corrcoef(found, truth[test])[0, 1] > 0.7


def test_only_context_decides_the_ambiguous(corpus, score):
    ambiguous = corpus.truth("ambiguous")
    labels = corpus.labels[corpus.rows("test")[ambiguous[corpus.rows("test")]]]
    chance = 100 * f1_score(labels, np.random.default_rng(0).permutation(labels), average="weighted")
    assert score("all", ambiguous) < chance + 12
    assert score("context", ambiguous) > score("all", ambiguous) + 20


def test_context_decides_conflicts(corpus, score):
    conflict = corpus.truth("conflict")
    plain = ~conflict & ~corpus.truth("ambiguous")
    assert score("all", conflict) < score("all", plain) - 20
    gain = score("context", conflict) - score("all", conflict)
    assert gain > 10
    assert gain > score("context", plain) - score("all", plain) + 5


def test_in_conflicts_text_and_face_are_right_equally_often(corpus, predictions):
    rows = corpus.rows("test")
    rows = rows[corpus.truth("conflict")[rows]]
    right = {name: (predictions[name] == corpus.labels)[rows] for name in ("text", "visual")}
    assert abs(right["text"].mean() - right["visual"].mean()) < 0.12
    assert (right["text"] & right["visual"]).mean() < 0.6 * right["text"].mean()


def test_texts_show_what_the_text_shows(corpus):
    words = {emotion: set(listed.split()) for emotion, listed in WORDS.items()}
    told = np.array(
        [
            any(word.strip(".,?") in words[EMOTIONS[label]] for word in text.split())
            for text, label in zip(corpus.texts, corpus.labels, strict=True)
        ]
    )
    reliability = corpus.truth("reliability.text")
    plain = corpus.present("text") & ~corpus.truth("conflict")
    assert told[plain & (reliability > 0.8)].mean() > 0.9
    assert told[plain & (reliability < 0.2)].mean() < 0.35
    assert {text == "" for text in np.array(corpus.texts, dtype=object)[~corpus.present("text")]} == {True}


def test_without_ambiguity_conflict_and_failure_it_is_easy():
    clear = {"failure": 0.0, "strength": 8.0}
    easy = SyntheticConfig(ambiguous=0, conflict=0, missing=0, **{name: {"width": 32, **clear} for name in MODALITIES})
    corpus = generate(easy)
    together = np.concatenate([corpus.features(name) for name in MODALITIES], axis=1)
    train, test = corpus.rows("train"), corpus.rows("test")
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.02, max_iter=300))
    assert classifier.fit(together[train], corpus.labels[train]).score(together[test], corpus.labels[test]) > 0.9


def test_the_default_corpus_is_made_once(tmp_path, monkeypatch):
    monkeypatch.setenv("DFERC_CACHE", str(tmp_path))
    monkeypatch.setattr("dferc.corpus.synthetic.SyntheticConfig", lambda: TINY)
    path = default_path()
    made = path.stat().st_mtime_ns
    assert default_path() == path
    assert path.stat().st_mtime_ns == made
    assert Corpus.open(path).fingerprint == generate(TINY).fingerprint
    monkeypatch.setattr("dferc.corpus.synthetic.SyntheticConfig", lambda: TINY.model_copy(update={"seed": 1}))
    assert default_path() != path


@pytest.mark.parametrize(
    ("settings", "sentence"),
    [
        ({"shortest": 9, "longest": 8}, "shortest must not exceed longest"),
        ({"inertia": 0.8, "contagion": 0.3}, "inertia \\+ contagion must not exceed 1"),
        ({"ambiguous": 0.8, "conflict": 0.3}, "ambiguous \\+ conflict must not exceed 1"),
        ({"prior": (0.5, 0.5)}, "prior must be 6 positive shares that sum to 1"),
        ({"prior": (0.5, 0.5, 0, 0, 0, 0)}, "prior must be 6 positive shares that sum to 1"),
        ({"characters": 2, "most_parties": 3}, "most_parties must not exceed characters"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_impossible_settings_are_refused(settings, sentence):
    with pytest.raises(ValidationError, match=sentence):
        SyntheticConfig(**settings)
