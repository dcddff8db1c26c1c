"""What can be downloaded, where it lies, and how one knows that it came whole."""

from dataclasses import dataclass
from enum import StrEnum

MELD_COMMIT = "2d2011b409d3ca2d7e94460cd007d434b1d0a102"
"""Of github.com/declare-lab/MELD; its files have CRLF, which a checkout may change and this download does not."""
MELD_CSV_BASE = f"https://raw.githubusercontent.com/declare-lab/MELD/{MELD_COMMIT}/data/MELD"
MELD_RAW_BASE = "http://web.eecs.umich.edu/~mihalcea/downloads"
"""As the README of declare-lab/MELD says."""


class What(StrEnum):
    """Parts of MELD."""

    CSV = "csv"
    RAW = "raw"


@dataclass(frozen=True)
class Item:
    """One file."""

    name: str
    url: str
    sha256: str | None = None
    """None where nobody published one."""
    size: int | None = None
    """Bytes; None where nobody published them."""
    about: str = ""
    """How large it is, for people, where the bytes are not known."""


MELD_CSV = (
    ("train_sent_emo.csv", 1_119_290, "d2fa2d6529cf03cac2989efec05c9b27d8fd2f4c8fc5974c7ae88aa537fa02db"),
    ("dev_sent_emo.csv", 121_640, "2e89c6f8aa182d6f62f8c6331aece905ac7273ca4999660bfb5213e1d0370c1c"),
    ("test_sent_emo.csv", 294_526, "8d37103938f7067600839fe29d5a114a6cd1bcdafb75bec101e06464c5006888"),
)
"""Name, bytes and SHA-256 at ``MELD_COMMIT``."""
MELD_RAW = "MELD.Raw.tar.gz"


def meld_items(what: What, base: str | None = None, sha256: str | None = None) -> list[Item]:
    """The files of one part of MELD.

    Args:
        what: the transcripts with their labels, or the clips of the recordings.
        base: another address under which the files lie by the same names.
        sha256: of the recordings; nobody published it.
    """
    if what is What.CSV:
        where = (base or MELD_CSV_BASE).rstrip("/")
        return [Item(name, f"{where}/{name}", digest, size) for name, size, digest in MELD_CSV]
    where = (base or MELD_RAW_BASE).rstrip("/")
    return [Item(MELD_RAW, f"{where}/{MELD_RAW}", sha256 and sha256.lower(), about="about 10 GB")]
