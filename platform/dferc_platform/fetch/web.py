"""One request for a file, or for the rest of it, over http or https and nothing else."""

import http.client
import re
import ssl
import urllib.error
import urllib.request
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import dferc
from dferc.errors import UserError

TIMEOUT = 30.0
"""Seconds without a byte after which a server counts as gone."""
CHUNK = 1 << 18
"""Bytes read at once."""
LONGEST_WAIT = 120.0
"""Seconds that a server may ask us to wait."""
BUSY = (408, 425, 429)
"""Answers below 500 that mean: try again."""


class InterruptedTransferError(Exception):
    """What may be better the next time: a server that is busy, silent or gone."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait


class RangeRefusedError(Exception):
    """The server has no such rest: the file is another by now."""


@dataclass(frozen=True)
class Answer:
    """A body, and what of the file it is."""

    start: int
    """Byte of the file that it begins with."""
    total: int | None
    """Bytes of the whole file, where the server says."""
    validator: str | None
    """What names this version of the file, fit for If-Range."""
    body: Any

    def chunks(self) -> Iterator[bytes]:
        """The body, piece by piece.

        Raises:
            InterruptedTransferError: the connection broke.
        """
        with self.body:
            while True:
                try:
                    chunk = self.body.read1(CHUNK)
                except (OSError, http.client.HTTPException) as error:
                    raise InterruptedTransferError(f"the connection broke ({reason(error)})") from None
                if not chunk:
                    return
                yield chunk


def ask(url: str, start: int = 0, validator: str | None = None, timeout: float = TIMEOUT) -> Answer:
    """Ask for a file from byte ``start`` on, if it still is the version that ``validator`` names, else for all of it.

    Raises:
        UserError: the address is of no use, or the server says no.
        InterruptedTransferError: it may work later.
        RangeRefusedError: it must be asked for from the beginning.
    """
    refuse_address(url)
    headers = {"User-Agent": f"dferc/{dferc.__version__}", "Accept-Encoding": "identity"}
    if start and validator:
        headers |= {"Range": f"bytes={start}-", "If-Range": validator}
    try:
        body = _opener().open(urllib.request.Request(url, headers=headers), timeout=timeout)  # noqa: S310  # refuse_address
    except urllib.error.HTTPError as error:
        raise _refusal(url, error) from None
    except (OSError, http.client.HTTPException) as error:
        raise _failure(url, error) from None
    return _answer(body, start, validator)


def refuse_address(url: str) -> None:
    """Refuse what is no http or https address.

    Raises:
        UserError: it is none, or it holds a password.
    """
    parts = urlsplit(url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise UserError(f"{url} is no address to download from: it must begin with http:// or https://")
    if parts.username is not None:
        raise UserError("the address to download from holds a user name: only public files can be fetched")


def reason(error: BaseException) -> str:
    """What went wrong, in few words."""
    inner = error.reason if isinstance(error, urllib.error.URLError) else error
    if isinstance(inner, TimeoutError):
        return "it timed out"
    return str(inner) or type(inner).__name__


class _WebOnly(urllib.request.HTTPRedirectHandler):
    """Follows redirections to http and https alone."""

    def redirect_request(self, req: Any, fp: Any, code: int, msg: str, headers: Any, newurl: str) -> Any:
        refuse_address(newurl)
        return super().redirect_request(req, fp, code, msg, headers, newurl)


def _opener() -> urllib.request.OpenerDirector:
    """Without the handlers for file, ftp and data addresses that urllib has by default."""
    opener = urllib.request.OpenerDirector()
    for handler in (
        urllib.request.ProxyHandler(),
        urllib.request.HTTPHandler(),
        urllib.request.HTTPSHandler(),
        _WebOnly(),
        urllib.request.HTTPErrorProcessor(),
        urllib.request.HTTPDefaultErrorHandler(),
        urllib.request.UnknownHandler(),
    ):
        opener.add_handler(handler)
    return opener


def _refusal(url: str, error: urllib.error.HTTPError) -> Exception:
    error.close()
    said = f"{url} answers {error.code} ({error.reason})"
    if error.code == 416:
        return RangeRefusedError(said)
    if error.code >= 500 or error.code in BUSY:
        wait = error.headers.get("Retry-After", "")
        return InterruptedTransferError(said, min(float(wait), LONGEST_WAIT) if wait.isdecimal() else 0.0)
    return UserError(f"{said}: if the file has moved, give its new address with --from")


def _failure(url: str, error: Exception) -> Exception:
    if isinstance(getattr(error, "reason", error), ssl.SSLCertVerificationError | http.client.InvalidURL):
        return UserError(f"{url} cannot be trusted or used ({reason(error)})")
    return InterruptedTransferError(f"{url} cannot be reached ({reason(error)})")


def _answer(body: Any, asked: int, version: str | None) -> Answer:
    headers = body.headers
    etag = headers.get("ETag", "")
    validator = etag if etag.startswith('"') else headers.get("Last-Modified")  # a weak ETag promises no equal bytes
    if body.status != 206:
        length = headers.get("Content-Length")
        return Answer(0, int(length) if length and length.isdecimal() else None, validator, body)
    found = re.fullmatch(r"bytes (\d+)-\d+/(\d+)", headers.get("Content-Range", ""))
    if found is None or int(found[1]) != asked:
        body.close()
        raise RangeRefusedError("the server answered with another part than was asked for")
    if validator not in (None, version):  # some servers do not know If-Range
        body.close()
        raise RangeRefusedError("the server answered with a part of another version of the file")
    return Answer(asked, int(found[2]), version, body)
