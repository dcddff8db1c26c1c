"""Files that are almost a known layout: each gets one sentence, with the nearest layout and what differs."""

import numpy as np
import pytest

from dferc.corpus.importers.feature_files import import_feature_files
from dferc.errors import UserError

MMGCN = r"nearest to MMGCN's IEMOCAP file (9 fields, text/audio/visual 100/1582/342), but "


def each(change):
    """The change of every dialogue's entries of a field."""
    return lambda field: {dialogue: change(entries) for dialogue, entries in field.items()}


def keys(change):
    """The change of every dialogue's id in all fields."""
    return lambda fields: [
        {change(d): v for d, v in f.items()} if isinstance(f, dict) else [change(d) for d in f] for f in fields
    ]


def at(index, change):
    return lambda fields: [change(field) if i == index else field for i, field in enumerate(fields)]


def swapped(i, j):
    return lambda fields: [fields[{i: j, j: i}.get(k, k)] for k in range(len(fields))]


def fields_of(writer, layout):
    _, contents = writer.make(layout)
    return list(next(iter(contents.values())))


def refusal(writer, folder, *contents):
    with pytest.raises(UserError) as caught:
        import_feature_files(writer.write(folder, {f"file{'x' * i}": content for i, content in enumerate(contents)}))
    return str(caught.value)


NEAR_MISSES = {
    "audio of another width": (
        at(4, each(lambda v: [x[:1580] for x in v])),
        MMGCN + "audio has 1580 numbers an utterance where 1582 are expected",
    ),
    "widths of two layouts": (
        at(5, each(lambda v: [np.ones(512)] * len(v))),
        MMGCN + "visual has 512 numbers an utterance where 342 are expected",
    ),
    "swapped audio and visual": (
        swapped(4, 5),
        MMGCN + "videoAudio and videoVisual are swapped",
    ),
    "swapped speakers and labels": (swapped(1, 2), MMGCN + "videoSpeakers and videoLabels are swapped"),
    "transposed text": (at(3, each(lambda v: np.array(v).T)), MMGCN + "text has 3 numbers an utterance where 100"),
    "text of one vector a row": (
        at(3, each(lambda v: [x[None] for x in v])),
        MMGCN + "videoText has arrays of shape (1, 100) of float32 where vectors are expected",
    ),
    "splits as dictionaries": (
        at(7, lambda ids: dict.fromkeys(ids, 1)),
        MMGCN + "trainVid has a dictionary of an int a dialogue where dialogue ids are expected",
    ),
    "no testVid": (lambda fields: fields[:-1], MMGCN + "it lacks testVid (dialogue ids)"),
    "no audio": (lambda fields: fields[:4] + fields[5:], MMGCN + "it lacks videoAudio (vectors of 1582 numbers)"),
    "one field more": (lambda fields: [*fields, {}], MMGCN + "its field 10 (an empty dictionary) is one too many"),
    "testVid is None": (at(8, lambda _: None), MMGCN + "testVid has nothing (None) where dialogue ids are expected"),
    "a list for a dictionary": (
        at(4, lambda f: list(f.values())),
        MMGCN + "videoAudio has a list that begins with a list, not keyed by dialogue, where vectors are expected",
    ),
    "dialogues are None": (
        at(4, each(lambda v: None)),
        MMGCN + "videoAudio has a dictionary of nothing (None) a dialogue",
    ),
    "utterances are None": (
        at(4, each(lambda v: [None] * len(v))),
        MMGCN + "videoAudio has nothing (None) an utterance",
    ),
    "texts for numbers": (at(4, each(lambda v: ["loud"] * len(v))), MMGCN + "videoAudio has texts where vectors"),
    "lists of texts": (
        at(4, each(lambda v: [["a"] * 1582] * len(v))),
        MMGCN + "videoAudio has lists that begin with a str where vectors are expected",
    ),
    "labels by name": (at(2, each(lambda v: ["hap"] * len(v))), MMGCN + "videoLabels has texts where labels as whole"),
    "labels with fractions": (
        at(2, each(lambda v: [1.0] * len(v))),
        MMGCN + "videoLabels has single floating-point numbers",
    ),
    "labels as booleans": (at(2, each(lambda v: [True] * len(v))), MMGCN + "videoLabels has a bool an utterance"),
    "labels in columns": (at(2, each(lambda v: np.array(v)[:, None])), MMGCN + "videoLabels has vectors of 1 numbers"),
    "fields by name": (lambda f: {f"field{i}": v for i, v in enumerate(f)}, MMGCN + "its fields are in a dictionary"),
    "ids are numbers": (keys(lambda d: sum(map(ord, d))), MMGCN + "its dialogues are called"),
    "a single field": (
        lambda f: f[3],
        "nearest to MultiEMO's text dictionary (one dictionary, text 768), but text has 100",
    ),
    "empty dictionaries": (lambda f: [{}] * 9, "9 fields"),
    "nothing": (lambda f: None, MMGCN + "it holds nothing (None) where a sequence of fields is expected"),
    "a number": (lambda f: 7, MMGCN + "it holds an int where a sequence of fields is expected"),
    "an array": (lambda f: np.ones((2, 3)), MMGCN + "it holds an array of shape (2, 3)"),
    "no field": (lambda f: (), MMGCN + "it has 0 fields where 9 are expected"),
    "a thousand fields": (
        lambda f: list(range(1000)),
        MMGCN + "it holds a list of 1000 entries where a sequence of fields is expected",
    ),
}


@pytest.mark.parametrize("case", NEAR_MISSES)
def test_near_misses_are_told_the_nearest_layout(case, writer, tmp_path):
    change, expected = NEAR_MISSES[case]
    message = refusal(writer, tmp_path, change(fields_of(writer, "mmgcn-iemocap")))
    assert "has no known layout: it is nearest to" in message
    assert expected in message
    assert "\n" not in message


def changed_refusal(writer, folder, layout, change):
    """What is said of a layout's first file after a change of its fields."""
    return refusal(writer, folder, tuple(change(fields_of(writer, layout))))


@pytest.mark.parametrize("layer", [3, 4, 5])
def test_a_layer_too_few_makes_no_other_layout(layer, writer, tmp_path):
    """COSMIC's file less a layer has the 9 fields of DualGATs', whose links and relations are no vectors."""
    message = changed_refusal(writer, tmp_path, "cosmic-iemocap", lambda f: f[:layer] + f[layer + 1 :])
    assert "nearest to COSMIC's IEMOCAP RoBERTa file" in message
    assert "it lacks roberta" in message


@pytest.mark.parametrize(
    ("layout", "change", "expected"),
    [
        ("dialoguegcn-iemocap", swapped(4, 5), "DialogueGCN's IEMOCAP file (9 fields, text/audio/visual 100/100/512), "
         "but videoAudio and videoVisual are swapped"),
        ("cfn-meld", swapped(1, 2), "CFN-ESA's MELD file (14 fields, vectors 4 of 1024/300/342), "
         "but videoSpeakers and emotionLabels are swapped"),
        ("mmgcn-meld", at(5, lambda _: None), "MMGCN's MELD file (10 fields, text/audio/visual 600/300/342), "
         "but videoVisual has nothing (None) where vectors are expected"),
        ("bclstm-meld", at(4, each(lambda v: [x[:299] for x in v])),
         "bc-LSTM's MELD file (9 fields, text/audio 600/300), but audio has 299 numbers an utterance where 300"),
    ],
)  # fmt: skip
def test_the_nearest_layout_has_as_many_fields_and_the_same_widths(layout, change, expected, writer, tmp_path):
    assert f"nearest to {expected}" in changed_refusal(writer, tmp_path, layout, change)


@pytest.mark.parametrize(("layout", "labels"), [("cosmic-meld", 1), ("cfn-meld", 2)])
def test_emotions_in_place_of_sentiments_are_refused(layout, labels, writer, tmp_path):
    message = changed_refusal(writer, tmp_path, layout, swapped(labels, labels + 1))
    assert "which is none of 0 (neutral), 1 (positive), 2 (negative)" in message


INSIDE = {
    "label beyond the classes": (
        at(2, each(lambda v: [7] * len(v))),
        "label 7 of dialogue 'Ses01F_impro01', utterance 0, is none of 0 (happy), 1 (sad)",
    ),
    "label that is missing": (at(2, lambda f: f | {"Ses01F_impro01": [1, None]}), "label nothing (None) of dialogue"),
    "unequal lengths": (
        at(4, lambda f: f | {"Ses01F_impro01": f["Ses01F_impro01"][:1]}),
        "dialogue 'Ses01F_impro01' has "
        "unequal numbers of utterances: 2 of videoIDs, 2 of videoSpeakers, 2 of videoLabels, 2 of "
        "videoText, 1 of videoAudio",
    ),
    "unequal widths": (
        at(4, lambda f: f | {"Ses01F_impro01": [np.ones(1582), np.ones(7)]}),
        "audio of dialogue 'Ses01F_impro01', utterance 1, has 7 numbers where 1582 are expected",
    ),
    "a vector of objects": (at(4, each(lambda v: np.array(v, dtype=object))), "utterance 0, is no vector of numbers"),
    "long texts for numbers": (
        at(4, lambda f: f | {"Ses01F_impro01": [["x" * 3 * 10**6] + [""] * 1581] * 2}),
        "audio of dialogue 'Ses01F_impro01', utterance 0, is no vector of numbers",
    ),
    "a dialogue too few": (
        at(4, lambda f: {d: v for d, v in f.items() if d != "Ses01F_impro01"}),
        "videoAudio lacks dialogue 'Ses01F_impro01', compared with videoLabels",
    ),
    "a dialogue too many": (
        at(4, lambda f: f | {"Ses01F_impro99": []}),
        "videoAudio alone has dialogue 'Ses01F_impro99'",
    ),
    "a dialogue that is None": (
        at(4, lambda f: f | {"Ses01F_impro01": None}),
        "videoAudio of dialogue 'Ses01F_impro01' is nothing (None) where a list of utterances is expected",
    ),
    "a dialogue of another corpus": (at(4, lambda f: f | {17: []}), "videoAudio has the dialogue id '17'"),
    "an empty dialogue": (
        lambda fields: [f | {"Ses01F_impro99": []} if isinstance(f, dict) else f for f in fields],
        "dialogue 'Ses01F_impro99' has no utterances",
    ),
    "overlapping splits": (at(8, lambda ids: [*ids, "Ses01F_impro01"]), "'Ses01F_impro01' is in both train and test"),
    "swapped splits": (swapped(7, 8), "'Ses05F_impro02' is in the file's train list, but belongs to test as published"),
    "a dialogue in no split": (at(7, lambda ids: ids[1:]), "has utterances but is in no split of the file"),
    "a split without its dialogue": (at(7, lambda ids: [*ids, "Ses01F_impro99"]), "train list but has no utterances"),
    "an empty test list": (at(8, lambda ids: []), "'Ses05F_impro02' has utterances but is in no split"),
    "a strange id in a split": (
        at(7, lambda ids: [*ids, 5]),
        "its train list has '5', which is no dialogue of IEMOCAP",
    ),
    "a speaker that is neither": (
        at(1, lambda f: f | {"Ses01F_impro01": ["M", "X"]}),
        "have 'X' where M or F are expected",
    ),
    "a text that is missing": (at(6, lambda f: f | {"Ses01F_impro01": ["a", None]}), "utterance 1, is nothing (None)"),
}


@pytest.mark.parametrize("case", INSIDE)
def test_faults_inside_a_known_layout_are_named(case, writer, tmp_path):
    change, expected = INSIDE[case]
    message = refusal(writer, tmp_path, tuple(change(fields_of(writer, "mmgcn-iemocap"))))
    assert "(MMGCN's IEMOCAP file)" in message
    assert expected in message


MELD = {
    "ids as texts": (keys(str), "its dialogues are called '59' where whole numbers are expected"),
    "ids beyond the corpus": (
        keys(lambda d: d + 2000),
        "dialogue 2059 is none of MELD's, which are numbered 0 to 1432",
    ),
    "ten parties": (
        at(1, each(lambda v: [[*row, 0] for row in v])),
        "videoSpeakers has 10 numbers an utterance where 9",
    ),
    "no party": (at(1, each(lambda v: [[0] * 9 for _ in v])), "speakers of dialogue 0 are no one-hot rows"),
    "labels from 1": (at(2, lambda f: f | {0: [7, 1]}), "label 7 of dialogue 0, utterance 0, is none of 0 (neutral)"),
    "validation in test": (at(8, lambda ids: [*ids, 1039]), "dialogue 1039 is in the file's test list, but belongs to"),
}


@pytest.mark.parametrize("case", MELD)
def test_faults_of_meld_files_are_named(case, writer, tmp_path):
    change, expected = MELD[case]
    assert expected in refusal(writer, tmp_path, tuple(change(fields_of(writer, "mmgcn-meld"))))


def test_other_corpora_in_a_known_form_are_refused(writer, tmp_path):
    """COSMIC's EmoryNLP file has the fields of its IEMOCAP file, but other speakers and dialogues."""
    speakers, labels, _, *rest = keys(lambda d: f"1_2_{d}")(fields_of(writer, "cosmic-meld"))
    message = refusal(writer, tmp_path, [speakers, labels, *rest])
    assert "nearest to COSMIC's IEMOCAP RoBERTa file (10 fields, vectors 4 of 1024)" in message
    assert "its dialogues are called '1_2_59'" in message
    assert "videoSpeakers has vectors of 9 numbers where speakers M and F are expected" in message


def test_many_problems_are_cut_short(writer, tmp_path):
    fields = at(2, each(lambda v: [7] * len(v)))(fields_of(writer, "mmgcn-iemocap"))
    message = refusal(writer, tmp_path, tuple(fields))
    assert message.count("label 7") == 10
    assert "and 7 more" in message


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda samples: {k: v for k, v in samples.items() if k != "dev"}, "it lacks dev (dialogue ids)"),
        (lambda samples: samples | {"dev": samples["train"]}, "3 of its samples repeat or lack the vid of a dialogue"),
        (lambda samples: {k: [] for k in samples}, "it lacks speakers (speakers M and F)"),
        (
            lambda samples: {k: [s | {"vid": [1]} for s in v] for k, v in samples.items()},
            "its dialogues are called '[1]'",
        ),
        (lambda samples: samples | {"dev": None}, "it lacks dev (dialogue ids)"),
        (
            lambda samples: {k: [s | {"text": s["audio"]} for s in v] for k, v in samples.items()},
            "text has 100 numbers",
        ),
    ],
)
def test_samples_that_are_not_corects(change, expected, writer, tmp_path):
    _, contents = writer.make("corect-iemocap")
    message = refusal(writer, tmp_path, change(contents["a.pkl"]))
    assert "nearest to CORECT's samples" in message
    assert expected in message


def test_files_without_labels_say_where_they_belong(writer, tmp_path):
    _, cosmic = writer.make("cosmic_comet-iemocap")
    assert "has no labels: give it together with COSMIC's {iemocap,meld}_features_roberta.pkl" in refusal(
        writer, tmp_path, cosmic["comet.pkl"]
    )
    _, multiemo = writer.make("multiemo-meld")
    message = refusal(writer, tmp_path, multiemo["t.pkl"], multiemo["v.pkl"])
    assert message.count("give it together with MultiEMO's Speakers.pkl") == 2


def joined_with(change):
    """M3Net's two files with the fields of the first changed."""
    return lambda base, roberta: (tuple(change(list(base))), roberta)


JOINS = {
    "other labels": (joined_with(at(2, lambda f: f | {"Ses01F_impro01": [5, 5]})), "labels differ in"),
    "other lengths": (
        joined_with(
            lambda fields: [
                f | {"Ses01F_impro01": f["Ses01F_impro01"][:1]} if isinstance(f, dict) else f for f in fields
            ]
        ),
        "dialogue 'Ses01F_impro01' has 1 utterances in",
    ),
    "other dialogues": (
        joined_with(
            lambda fields: [
                {d: v for d, v in f.items() if d != "Ses01F_impro01"}
                if isinstance(f, dict)
                else [d for d in f if d != "Ses01F_impro01"]
                for f in fields
            ]
        ),
        "lacks 1 dialogues of",
    ),
    "the same modality twice": (lambda base, roberta: (base, base), "both have text: give one of them"),
}


@pytest.mark.parametrize("case", JOINS)
def test_files_of_other_conversations_are_not_joined(case, writer, tmp_path):
    change, expected = JOINS[case]
    _, contents = writer.make("m3net-iemocap")
    assert expected in refusal(writer, tmp_path, *change(contents["z.pkl"], contents["roberta.pkl"]))


def test_corpora_are_not_mixed(writer, tmp_path):
    _, contents = writer.make("cosmic_comet-meld")
    message = refusal(writer, tmp_path, contents["comet.pkl"], fields_of(writer, "cosmic-iemocap"))
    assert "are of different corpora" in message


def test_dag_ercs_files_join_with_no_others(writer, tmp_path):
    _, contents = writer.make("dag_erc-iemocap")
    [test, other] = writer.write(
        tmp_path, {"test.feature": contents["test.feature"], "a.pkl": fields_of(writer, "mmgcn-iemocap")}
    )
    with pytest.raises(UserError, match="give them alone"):
        import_feature_files([other], splits={"test": test})


def test_every_unknown_file_is_named(writer, tmp_path):
    message = refusal(writer, tmp_path, 1, (), fields_of(writer, "mmgcn-iemocap"))
    assert message.startswith("this set of feature files has 2 problems")
