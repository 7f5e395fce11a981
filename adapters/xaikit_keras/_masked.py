"""Masked inputs, made by TensorFlow on the device that it calculates on."""

from typing import Any

import tensorflow as tf

from xaikit.masked import MaskedRows


def to_tensor(a: Any) -> Any:
    """Turn an array, or masked inputs, into a tensor."""
    return masked(a) if isinstance(a, MaskedRows) else tf.convert_to_tensor(a)


def masked(rows: MaskedRows) -> Any:
    """Make masked inputs where TensorFlow calculates, to which no more is sent for a row than which parts it shows."""
    made = []
    for hiding, shown, which in rows.pieces:
        if "tensorflow" not in hiding.kept:
            x, hidden = hiding.x.ravel(), hiding.hidden.reshape(len(hiding.hidden), -1)
            hiding.kept["tensorflow"] = tuple(map(tf.constant, (x, hidden, hiding.places)))
        x, hidden, places = hiding.kept["tensorflow"]
        seen = tf.gather(tf.constant(shown), places, axis=1)
        made.append(tf.where(seen, x, hidden if len(hidden) == 1 else tf.gather(hidden, which)))
    whole = tf.cast(tf.reshape(tf.concat(made, 0), (-1, *rows.pieces[0].hiding.x.shape)), rows.dtype)
    return tf.transpose(whole, rows.order) if list(rows.order) != sorted(rows.order) else whole
