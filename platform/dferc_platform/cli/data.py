"""``dferc data``: make and import corpora, look at them, check and compare them."""

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from dferc_platform.cli import data_checks, data_extract, data_fetch, data_import

app = typer.Typer(help="Corpora: make one, import one, look at one, check one, compare two.", no_args_is_help=True)
app.add_typer(data_import.app, name="import")
app.command("extract")(data_extract.extract)


class Size(StrEnum):
    """Sizes of synthetic corpora."""

    TINY = "tiny"
    DEFAULT = "default"


@app.command("make")
def make(
    out: Annotated[Path, typer.Option(metavar="FILE", help="Where to write it.")] = Path("corpora/synthetic.parquet"),
    seed: Annotated[int, typer.Option(min=0, help="Another seed is another world, with other conversations.")] = 0,
    size: Annotated[Size, typer.Option(help="tiny: trains in a second, for trying things.")] = Size.DEFAULT,
) -> None:
    """Make a corpus of synthetic conversations whose truth is known.

    Example: dferc data make --size tiny --out corpora/tiny.parquet
    """
    from dferc.corpus.synthetic import TINY, SyntheticConfig, generate

    base = TINY if size is Size.TINY else SyntheticConfig()
    data_import.save(generate(base.model_copy(update={"seed": seed})), out)


app.command("fetch")(data_fetch.fetch)
app.command("inspect")(data_checks.inspect)
app.command("verify")(data_checks.verify)
app.command("card")(data_checks.card)
app.command("diff")(data_checks.diff)
