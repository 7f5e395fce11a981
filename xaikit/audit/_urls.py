"""URLs of databases as people, logs and other processes may see them."""

import re


def without_password(url: str) -> str:
    """Give a URL with *** in place of its passwords, as they stand before an @ or in its query.

    A URL without any stays as it is. One that cannot be read as a URL loses what might be a password.
    """
    if url.startswith("sqlite:"):  # a file, whose path may have any letters
        return url
    hidden = re.sub(r"([:/]/*[^:/@]*):.*@", r"\1:***@", url, flags=re.DOTALL)
    return re.sub(r"([?&][^=&]*password=)[^&]*", r"\1***", hidden, flags=re.IGNORECASE)
