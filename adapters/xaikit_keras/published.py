"""Files that Keras offers, fetched and checked as keras.applications does it."""

from pathlib import Path

import keras

from xaikit.errors import DataError


def fetch(file: str, address: str, md5: str, folder: str | Path) -> str:
    """Give the path of a file in `folder`/models, downloaded unless it lies there with this MD5.

    Raises DataError where the address cannot be reached or gives something else.
    """
    try:
        return str(keras.utils.get_file(file, address, cache_subdir="models", file_hash=md5, cache_dir=str(folder)))
    except Exception as error:
        # Keras raises a bare Exception where the address cannot be reached.
        reason = str(error).replace(f" on {address}", "") or type(error).__name__
        raise DataError(" ".join(reason.split())[:300]) from error
