"""Scripts and styles go out compressed, each compressed once."""

import gzip
import hashlib
import threading
from collections import OrderedDict

from flask import Flask, Response, request

KINDS = ("text/css", "text/javascript", "application/javascript", "image/svg+xml")
LEAST = 1024
"""Bytes below which compressing gains nothing."""
MOST = 128
"""As many files as are kept compressed."""


class Gzipped:
    """Compresses files that are the same for everybody; answers with data of a session are left as they are.

    Where secrets and what others choose stand in one answer, its compressed length would give the secrets away.
    """

    def __init__(self) -> None:
        self._kept: OrderedDict[str, bytes] = OrderedDict()
        self._lock = threading.Lock()

    def __call__(self, response: Response) -> Response:
        """Compress an answer where the browser takes that."""
        if response.status_code != 200 or response.mimetype not in KINDS or "Content-Encoding" in response.headers:
            return response
        response.headers["Vary"] = "Accept-Encoding"
        if not request.accept_encodings.quality("gzip"):
            return response
        response.direct_passthrough = False
        data = response.get_data()
        if len(data) < LEAST:
            return response
        response.set_data(self.compressed(data))
        response.headers["Content-Encoding"] = "gzip"
        etag, _ = response.get_etag()
        if etag is not None:
            response.set_etag(etag, weak=True)  # the same words, not the same bytes
        return response

    def compressed(self, data: bytes) -> bytes:
        """Give data compressed, and keep it."""
        key = hashlib.sha256(data).hexdigest()
        with self._lock:
            found = self._kept.get(key)
        if found is None:
            found = gzip.compress(data, 6, mtime=0)
        with self._lock:
            self._kept[key] = found
            self._kept.move_to_end(key)
            while len(self._kept) > MOST:
                self._kept.popitem(last=False)
        return found


def register(server: Flask) -> None:
    """Have a server compress what it can."""
    server.after_request(Gzipped())


__all__ = ["Gzipped", "register"]
