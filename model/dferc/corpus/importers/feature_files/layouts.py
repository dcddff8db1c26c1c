"""The layouts of the field's public feature files, as data: their fields in order, widths, label orders, origins.

Read in the loaders of the named repositories. A file name says nothing: two different files are called
``IEMOCAP_features.pkl``.
"""

from collections.abc import Mapping
from dataclasses import replace

from dferc.corpus.contract import Split
from dferc.corpus.importers.feature_files.layout import ALONE, REFINED, Field, Layout, Name
from dferc.corpus.published import DIALOGXL_DIALOGUES, IEMOCAP_CODES, IEMOCAP_LABELS, MELD_LABELS, PUBLISHED

IDS = Field("videoIDs", "utterance ids")
GENDERS = Field("videoSpeakers", "genders")
PARTIES = Field("videoSpeakers", "parties")
LABELS = Field("videoLabels", "labels")
EMOTIONS = Field("emotionLabels", "labels")
SENTIMENTS = Field("sentimentLabels", "sentiments")
TEXTS = Field("videoSentence", "texts")
TRAIN = Field("trainVid", "train")
TEST = Field("testVid", "test")
VALIDATION = Field("validIds", "validation")
UNUSED = Field("last field", "unused")


def _text(width: int, extractor: str, name: str = "videoText") -> Field:
    return Field(name, "vectors", "text", width, extractor)


def _audio(width: int, extractor: str, name: str = "videoAudio") -> Field:
    return Field(name, "vectors", "audio", width, extractor)


def _visual(width: int, extractor: str, name: str = "videoVisual") -> Field:
    return Field(name, "vectors", "visual", width, extractor)


def _roberta(*names: str) -> tuple[Field, ...]:
    """First-token states of the last four layers, the last first."""
    model = "layer of a RoBERTa-large fine-tuned to classify single utterances, first token"
    layers = ("last", "second-last", "third-last", "fourth-last")
    return tuple(
        Field(name, "vectors", "text" if i == 1 else f"text_layer{i}", 1024, f"{layer} {model}")
        for i, (name, layer) in enumerate(zip(names, layers, strict=True), start=1)
    )


IEMOCAP: Mapping[int | str, str] = dict(enumerate(IEMOCAP_LABELS))
MELD: Mapping[int | str, str] = dict(enumerate(MELD_LABELS))
MELD_NAMES: Mapping[int | str, str] = {name: name for name in MELD_LABELS}
IS10 = "openSMILE IS10"
FACES = "DenseNet on faces"
DUALGATS: tuple[tuple[Name, Field, Mapping[int | str, str]], ...] = (
    ("iemocap", Field("videoSpeakers", "numbered parties"), IEMOCAP),
    ("meld", PARTIES, MELD),
)
DAG_ERC: tuple[tuple[Name, Mapping[int | str, str], Mapping[Split, int], str], ...] = (
    ("iemocap", IEMOCAP_CODES, DIALOGXL_DIALOGUES, "the files' own dev, the last 20 of the train dialogues"),
    ("meld", MELD_NAMES, PUBLISHED["meld"].dialogues, ""),
)
ROBERTA = _roberta("roberta1", "roberta2", "roberta3", "roberta4")
SDT_TEXTS = _roberta("videoText", "roberta2", "roberta3", "roberta4")
CFN_TEXTS = _roberta("videoText1", "videoText2", "videoText3", "videoText4")
RELATIONS = ("xIntent", "xAttr", "xNeed", "xWant", "xEffect", "xReact", "oWant", "oEffect", "oReact")
"""Of ATOMIC, in the order of COSMIC's file."""

POSITIONAL = (
    Layout(
        "MMGCN's IEMOCAP file",
        "IEMOCAP_features.pkl of hujingwen6666/MMGCN and MM-DFN, called IEMOCAP_features_raw.pkl by DF-ERC",
        "iemocap",
        (IDS, GENDERS, LABELS, _text(100, "TextCNN on GloVe"), _audio(1582, IS10), _visual(342, FACES),
         TEXTS, TRAIN, TEST),
        label_names=IEMOCAP,
    ),
    Layout(
        "DialogueGCN's IEMOCAP file",
        "IEMOCAP_features.pkl of DialogueGCN, COGMEN, CORECT and DialogueCRN, or bc-LSTM's IEMOCAP_features_raw.pkl, "
        "which is MultiEMO's Speakers.pkl",
        "iemocap",
        (IDS, GENDERS, LABELS, _text(100, "TextCNN on GloVe"), _audio(100, "openSMILE, reduced"),
         _visual(512, "3D CNN on video"), TEXTS, TRAIN, TEST),
        label_names=IEMOCAP,
    ),
    Layout(
        "bc-LSTM's MELD file",
        "MELD_features_raw.pkl of declare-lab/conv-emotion and DialogueCRN",
        "meld",
        (IDS, PARTIES, EMOTIONS, _text(600, "TextCNN on GloVe"), _audio(300, "openSMILE, reduced"), TEXTS,
         TRAIN, TEST, SENTIMENTS),
        label_names=MELD,
    ),
    Layout(
        "MMGCN's MELD file",
        "MELD_features_raw1.pkl of hujingwen6666/MMGCN and MM-DFN, which is MultiEMO's Speakers.pkl",
        "meld",
        (IDS, PARTIES, EMOTIONS, _text(600, "TextCNN on GloVe"), _audio(300, "openSMILE, reduced"),
         _visual(342, FACES), TEXTS, TRAIN, TEST, UNUSED),
        label_names=MELD,
    ),
    Layout(
        "COSMIC's IEMOCAP RoBERTa file",
        "iemocap_features_roberta.pkl of declare-lab/conv-emotion, COSMIC",
        "iemocap",
        (GENDERS, LABELS, *ROBERTA, TEXTS, TRAIN, TEST, VALIDATION),
        label_names=IEMOCAP,
        rank=REFINED,
    ),
    Layout(
        "COSMIC's MELD RoBERTa file",
        "meld_features_roberta.pkl of declare-lab/conv-emotion, COSMIC",
        "meld",
        (PARTIES, EMOTIONS, SENTIMENTS, *ROBERTA, TEXTS, TRAIN, TEST, VALIDATION),
        label_names=MELD,
        rank=REFINED,
    ),
    Layout(
        "COSMIC's COMET file",
        "{iemocap,meld}_features_comet.pkl of declare-lab/conv-emotion, COSMIC",
        None,
        tuple(Field(r, "vectors", f"comet_{r.lower()}", 768, f"COMET on ATOMIC, {r}") for r in RELATIONS),
        belongs_to="COSMIC's {iemocap,meld}_features_roberta.pkl",
        rank=REFINED,
    ),
    Layout(
        "SDT's IEMOCAP file",
        "iemocap_multimodal_features.pkl of butterfliesss/SDT, CFN-ESA and GraphSmile",
        "iemocap",
        (IDS, GENDERS, LABELS, *SDT_TEXTS, _audio(1582, IS10), _visual(342, FACES), TEXTS, TRAIN, TEST),
        label_names=IEMOCAP,
    ),
    Layout(
        "SDT's MELD file",
        "meld_multimodal_features.pkl of butterfliesss/SDT",
        "meld",
        (IDS, PARTIES, EMOTIONS, *SDT_TEXTS, _audio(300, "openSMILE, reduced"), _visual(342, FACES),
         TEXTS, TRAIN, TEST, UNUSED),
        label_names=MELD,
    ),
    Layout(
        "CFN-ESA's MELD file",
        "the MELD features of lijfrank-open/CFN-ESA and GraphSmile",
        "meld",
        (IDS, PARTIES, EMOTIONS, replace(SENTIMENTS, name="videoSentiments"), *CFN_TEXTS,
         _audio(300, "openSMILE, reduced"), _visual(342, FACES), TEXTS, TRAIN, TEST, UNUSED),
        label_names=MELD,
    ),
    *(
        Layout(
            f"DualGATs' {corpus.upper()} file",
            f"{corpus.upper()}_Features.pkl of BladeDancer957/DualGATs",
            corpus,
            (speakers, LABELS, replace(ROBERTA[0], name="roberta_feature"), Field("links", "graph"),
             Field("relations", "graph"), TEXTS, TRAIN, TEST, replace(VALIDATION, name="validVid")),
            label_names=label_names,
            rank=REFINED,
        )
        for corpus, speakers, label_names in DUALGATS
    ),
)  # fmt: skip

COGMEN_DEV = "the file's own dev, the first tenth of the train dialogues in the order that its makers met them"
SPLIT_IDS = (Field("train", "train"), Field("dev", "validation"), Field("test", "test"))
SBERT = "Sentence-BERT paraphrase-distilroberta-base-v1"
SAMPLES = (
    Layout(
        "COGMEN's samples",
        "data_iemocap.pkl as preprocess.py of Exploration-Lab/COGMEN makes it",
        "iemocap",
        (Field("speaker", "genders"), Field("label", "labels"), _text(768, SBERT, "sbert_sentence_embeddings"),
         Field("text", "vectors", "text_cnn", 100, "TextCNN on GloVe"), _audio(100, "openSMILE, reduced", "audio"),
         _visual(512, "3D CNN on video", "visual"), Field("sentence", "texts"), *SPLIT_IDS),
        form="samples",
        label_names=IEMOCAP,
        own_validation=COGMEN_DEV,
    ),
    Layout(
        "CORECT's samples",
        "data_iemocap.pkl as preprocess.py of leson502/CORECT_EMNLP2023 makes it",
        "iemocap",
        (Field("speakers", "genders"), Field("labels", "labels"), _text(768, SBERT, "text"),
         _audio(100, "openSMILE, reduced", "audio"), _visual(512, "3D CNN on video", "visual"),
         Field("sentence", "texts"), *SPLIT_IDS),
        form="samples",
        label_names=IEMOCAP,
        own_validation=COGMEN_DEV,
    ),
)  # fmt: skip

DAG_ERC_FIELDS = (Field("text", "texts"), Field("speaker", "people"), Field("label", "label names", optional=True))
DAG_ERC_TEXT = _text(1024, "RoBERTa-large fine-tuned to classify single utterances, first token", "cls")
UTTERANCES = tuple(
    Layout(
        f"DAG-ERC's {corpus.upper()} file",
        "{train,dev,test}_data_roberta.json.feature of shenwzh3/DAG-ERC",
        corpus,
        (*DAG_ERC_FIELDS, DAG_ERC_TEXT),
        form="utterances",
        label_names=label_names,
        dialogues=dialogues,
        own_validation=validation,
    )
    for corpus, label_names, dialogues, validation in DAG_ERC
)

MULTIEMO = tuple(
    Layout(
        f"MultiEMO's {field.modality} dictionary",
        f"{field.name}.pkl of TaoShi1998/MultiEMO",
        None,
        (field,),
        form="vectors",
        belongs_to="MultiEMO's Speakers.pkl",
        rank=ALONE,
    )
    for field in (
        _text(768, "EmoBERTa", "TextFeatures"),
        _audio(512, "openSMILE, reduced, by MultiEMO", "AudioFeatures"),
        _visual(1000, "VisExtNet (MTCNN, ResNet-101)", "VisualFeatures"),
    )
)

LAYOUTS: tuple[Layout, ...] = (*POSITIONAL, *SAMPLES, *UTTERANCES, *MULTIEMO)
