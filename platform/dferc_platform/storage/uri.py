"""Addresses of object stores: which there are, how they are read, and the file system behind one."""

import os
import re
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import unquote, urlsplit

from dferc.errors import UserError
from dferc_platform.secrecy import without_secrets

if TYPE_CHECKING:
    from pyarrow.fs import FileSystem

S3, GOOGLE = ("s3",), ("gs", "gcs")
CONNECT_SECONDS = 5.0
ATTEMPTS = 2
"""Of a request inside the client; what lasts longer is repeated by ``remote`` with pauses that grow."""


def is_uri(text: str) -> bool:
    """Whether this is an address rather than a path."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) is not None


def as_path(text: str) -> Path | None:
    """The absolute path that a path or a ``file://`` URI names; None for an object store.

    Raises:
        UserError: the URI is of a kind that cannot be used.
    """
    if not is_uri(text):
        return Path(text).expanduser().resolve()
    parts = urlsplit(text)
    if parts.scheme == "file":
        if parts.netloc not in ("", "localhost"):
            raise UserError(f"{text}: a file URI has three slashes, as in file:///data/results")
        return Path(unquote(parts.path)).resolve()
    _require_known(text)
    return None


def normal(uri: str) -> str:
    """The URI without slashes at its end: two that name the same are equal."""
    return uri.rstrip("/")


def bucket_of(uri: str) -> str:
    """The bucket, or the container of Azure."""
    return urlsplit(uri).netloc


def endpoint() -> str:
    """Where S3 is reached; empty: Amazon's own."""
    return os.environ.get("AWS_ENDPOINT_URL_S3") or os.environ.get("AWS_ENDPOINT_URL") or ""


@lru_cache(maxsize=8)
def file_system(uri: str) -> "tuple[FileSystem, str]":
    """The file system of a URI, and the place on it.

    Raises:
        UserError: the URI is of a kind that cannot be used.
    """
    _require_known(uri)
    parts = urlsplit(uri)
    place = f"{parts.netloc}{parts.path}".rstrip("/")
    if parts.scheme in S3:
        return _s3(parts.netloc), place
    from pyarrow import fs

    return fs.GcsFileSystem(retry_time_limit=timedelta(seconds=4 * CONNECT_SECONDS)), place


def _s3(bucket: str) -> "FileSystem":
    from pyarrow import fs

    chosen = os.environ.get("AWS_REGION") or os.environ.get("AWS_DEFAULT_REGION")
    if not chosen and not endpoint():
        chosen = fs.resolve_s3_region(bucket)
    return fs.S3FileSystem(
        endpoint_override=endpoint() or None,  # read from the environment only where the client is made from a URI
        region=chosen or "us-east-1",
        connect_timeout=CONNECT_SECONDS,
        allow_delayed_open=True,  # a small file takes one request instead of three
        retry_strategy=fs.AwsStandardS3RetryStrategy(max_attempts=ATTEMPTS),
    )


def _require_known(uri: str) -> None:
    parts = urlsplit(uri)
    if parts.scheme not in (*S3, *GOOGLE):
        raise UserError(f"{without_secrets(uri)}: write s3://BUCKET/PREFIX, gs://BUCKET/PREFIX, or a path")
    if not parts.netloc:
        raise UserError(f"{uri} names no bucket: write {parts.scheme}://BUCKET/PREFIX")
    if parts.query or parts.fragment or "@" in parts.netloc:
        raise UserError(
            f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}: credentials and settings do not belong "
            "into a URI; every machine takes them from its environment, such as AWS_ACCESS_KEY_ID and AWS_ENDPOINT_URL"
        )
