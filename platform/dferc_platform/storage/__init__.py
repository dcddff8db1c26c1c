"""Results and corpora by URI, for machines that share no disk: a working copy on each, kept the same as a bucket.

Who may write what, and which copy is believed:

- the files of a run belong to the working copy that trains it (``claims``); another one that takes the run over starts
  from the bucket, and the earlier one may not write any more;
- everything else of a study belongs to its driver, which holds a lease (``lease``); the bucket is believed, always;
- whoever only reads takes what the bucket has, except where somebody on the same machine is writing.

For a folder that is no working copy all of this does nothing.
"""

from dferc_platform.storage.claims import SEAL, Claim, claimed
from dferc_platform.storage.copies import local_folder, located, portable, shown
from dferc_platform.storage.fetching import fetched
from dferc_platform.storage.index import digest_of
from dferc_platform.storage.lease import leased
from dferc_platform.storage.publishing import publish, withdraw
from dferc_platform.storage.pulling import newest_text, pull
from dferc_platform.storage.uri import is_uri
from dferc_platform.storage.visible import require_visible

__all__ = [
    "SEAL",
    "Claim",
    "claimed",
    "digest_of",
    "fetched",
    "is_uri",
    "leased",
    "local_folder",
    "located",
    "newest_text",
    "portable",
    "publish",
    "pull",
    "require_visible",
    "shown",
    "withdraw",
]
