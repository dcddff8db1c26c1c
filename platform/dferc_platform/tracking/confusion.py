"""The confusion matrices of a run as a page that MLflow shows among its artifacts: far cheaper than a picture."""

import json
from html import escape
from pathlib import Path

STYLE = (
    "<style>body{font-family:sans-serif}td,th{padding:.3em .6em;text-align:right}"
    "caption{font-weight:bold;text-align:left;padding:1em 0 .3em}</style>"
)


def confusion_page(path: Path, labels: list[str]) -> str:
    """HTML tables of a confusion.json, one a split: rows true, columns predicted, shaded by the share of the row."""
    matrices: dict[str, list[list[int]]] = json.loads(path.read_text(encoding="utf-8"))
    tables = "".join(_table(split, counts, labels) for split, counts in matrices.items())
    return f'<!doctype html><meta charset="utf-8"><title>Confusion</title>{STYLE}{tables}'


def _table(split: str, counts: list[list[int]], labels: list[str]) -> str:
    head = "".join(f"<th>{escape(label)}</th>" for label in labels)
    rows = "".join(
        f"<tr><th>{escape(label)}</th>{''.join(_cell(count, sum(row)) for count in row)}</tr>"
        for label, row in zip(labels, counts, strict=True)
    )
    caption = f"<caption>{escape(split)}: true class a row, predicted class a column</caption>"
    return f"<table>{caption}<tr><th></th>{head}</tr>{rows}</table>"


def _cell(count: int, of: int) -> str:
    share = count / of if of else 0.0
    ink = "white" if share > 0.6 else "black"
    return f'<td style="background:rgba(8,69,148,{share:.2f});color:{ink}">{count}</td>'
