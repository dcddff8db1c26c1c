"""A corpus's card as a page of Markdown, to be kept beside it or handed on with it."""

from collections.abc import Iterable, Sequence
from shlex import quote

from dferc.corpus.contract import SPLITS, CorpusCard, Modality
from dferc.corpus.doctor import Examination
from dferc.corpus.published import PUBLISHED
from dferc.corpus.store import Corpus

SHOWN_HASH = 16
"""Hexadecimal digits of a hash in a table; the card in the file has all."""


def card_page(corpus: Corpus, examination: Examination) -> str:
    """Everything that a reader needs to use, check and cite a corpus, as Markdown."""
    card = corpus.card
    sections = [
        [f"# {card.name}", "", *_head(corpus)],
        ["## Counts", "", *_counts(corpus)],
        ["## Modalities", "", *_modalities(card)],
        ["## Licence", "", card.licence],
        ["## Where it comes from", "", card.source, "", *_files(card)],
        ["## Splits and speakers", "", card.split_note, "", card.speaker_note or "A speaker's name is one person."],
        ["## Mended when it was made", "", *_list(card.repairs)],
        ["## Findings", "", *_findings(examination)],
        ["## Cite and verify", "", *_verify(corpus)],
    ]
    return "\n\n".join("\n".join(section) for section in sections) + "\n"


def _head(corpus: Corpus) -> list[str]:
    dialogues, speakers = len(corpus.dialogues), len(set(corpus.speakers))
    return [
        f"{corpus.table.num_rows} utterances in {dialogues} dialogues of {speakers} speakers; "
        f"classes: {', '.join(corpus.card.labels)}.",
        "",
        f"Fingerprint: `{corpus.fingerprint}`",
    ]


def _counts(corpus: Corpus) -> list[str]:
    """A row a class, a column a split; beside it what is published, where it is."""
    published = PUBLISHED.get(corpus.card.name)
    known = published is not None and set(published.labels) == set(corpus.card.labels)
    header = [text for split in SPLITS for text in ([split, "published"] if known else [split])]
    counts = {split: [int(count) for count in corpus.label_counts(split)] for split in SPLITS}
    rows = [["dialogues"], ["utterances"], *([label] for label in corpus.card.labels)]
    for split in SPLITS:
        here = [len(corpus.split(split)), len(corpus.rows(split)), *counts[split]]
        for row, count in zip(rows, here, strict=True):
            row.append(str(count))
        if published is not None and known:
            by_name = dict(zip(published.labels, published.classes[split], strict=True))
            there = [published.dialogues[split], sum(by_name.values()), *(by_name[n] for n in corpus.card.labels)]
            for row, count in zip(rows, there, strict=True):
                row.append(str(count))
    return _table(["", *header], rows)


def _modalities(card: CorpusCard) -> list[str]:
    if not card.modalities:
        return ["None: transcripts only."]
    header = ["modality", "width", "extractor", "settings", "weights (SHA-256)", "scaling"]
    return _table(header, [_modality(name, modality) for name, modality in card.modalities.items()])


def _modality(name: str, modality: Modality) -> list[str]:
    settings = ", ".join(f"{key}={value}" for key, value in modality.parameters.items())
    scaling = f"standardised on train, clipped at {modality.scaling.clip:g}" if modality.scaling else "as extracted"
    return [name, str(modality.width), modality.extractor, settings, (modality.weights or "")[:SHOWN_HASH], scaling]


def _files(card: CorpusCard) -> list[str]:
    return _table(["file", "SHA-256"], [[name, f"`{digest}`"] for name, digest in card.files.items()])


def _findings(examination: Examination) -> list[str]:
    counts = ", ".join(f"{count} {verdict}" for verdict, count in examination.counts.items())
    found = examination.of("wrong", "warning", "mended")
    rows = [[check.verdict, check.name, check.where, check.sentence] for check in found]
    return [f"{len(examination.checks)} checks: {counts}.", "", *_table(["verdict", "check", "where", "finding"], rows)]


def _verify(corpus: Corpus) -> list[str]:
    return [
        "Name the source above and the fingerprint, which changes with every label, text, vector and split. "
        "A copy is the same corpus exactly if the fingerprint is the same:",
        "",
        "```bash",
        f"dferc data verify {quote(f'{corpus.card.name}.parquet')}",
        "```",
    ]


def _list(sentences: Sequence[str]) -> list[str]:
    return [f"- {sentence}" for sentence in sentences] or ["Nothing."]


def _table(header: Sequence[str], rows: Iterable[Sequence[str]]) -> list[str]:
    """A table; nothing where it would have no row."""
    body = [_line(row) for row in rows]
    return [_line(header), _line(["---"] * len(header)), *body] if body else []


def _line(cells: Sequence[str]) -> str:
    escaped = (" ".join(cell.split()).replace("\\", "\\\\").replace("|", "\\|") for cell in cells)
    return f"| {' | '.join(escaped)} |"
