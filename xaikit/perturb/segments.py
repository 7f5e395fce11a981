"""Parts: what is hidden and shown as one piece. Superpixels, windows in time, columns, tokens, features."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from xaikit.arrays import SPACE, Array, leaves
from xaikit.errors import ParameterError, UnknownName
from xaikit.perturb.bands import KINDS, Layout, laid_out
from xaikit.perturb.baseline import over
from xaikit.perturb.question import Question

COUNT = 50
PIXELS = 9
"""By default no more superpixels than leave each so many pixels: a single one, filled with its mean, stays itself."""
"""How many parts an image is cut into unless another number is asked for."""
WINDOWS = 20
"""How many windows a series is cut into at most, likewise."""
SINGLE = 128
"""Arrays of several axes with no more entries than this are cut into single entries."""


@dataclass(frozen=True, eq=False)
class Parts:
    """The parts of one sample over all its inputs, numbered on from input to input.

    `labels` holds for each input (an only input is called "") the part of every place, counted from 0 within the
    input: (height, width) for Image, (time,) or (time, channel) for Series, (token,) for Text, (feature,) for Table,
    the array's own shape otherwise. A place with the label -1 belongs to no part and is always shown. Channels and
    bands of a series have a layout of their own in `layouts`; the labels of bands are those of frequencies.
    """

    labels: Mapping[str, Array]
    layouts: Mapping[str, Layout] = field(default_factory=dict)

    @property
    def counts(self) -> dict[str, int]:
        """The number of parts of each input."""
        laid = {name: int(np.prod(layout.shape)) for name, layout in self.layouts.items()}
        return {name: laid.get(name, int(a.max()) + 1) for name, a in self.labels.items()}

    @property
    def count(self) -> int:
        """The number of parts."""
        return sum(self.counts.values())

    @property
    def slices(self) -> dict[str, slice]:
        """Where the parts of each input stand among all parts."""
        ends = np.cumsum([0, *self.counts.values()])
        return {name: slice(int(a), int(b)) for name, a, b in zip(self.labels, ends[:-1], ends[1:], strict=True)}


def cut(task: Question, segments: Any = None, count: int = COUNT, image: str = "slic") -> list[Parts]:
    """Cut every sample into parts.

    `segments` is None, a number of parts, a name ("slic", "quickshift", "felzenszwalb", "grid"), a name with parameters
    (("slic", {"compactness": 5}) or {"name": "slic", "compactness": 5}), or an integer label map for all samples or one
    for each; for several inputs also a mapping by input name. Inputs with an axis of time are cut into "channels",
    "bands" of frequencies or "bands-by-channel" too: ("bands", {"rate": 250, "bands": {"slow": (0.5, 8)}}), by default
    those of an electroencephalogram at the rate of the Series. None cuts an Image into about `count` superpixels by the
    segmentation `image`, a Series into at most 20 equal windows over all channels, a Table into its columns, a Text
    into its words without padding, and an array into its entries, or, when it names axes of space or has several large
    ones, into about `count` equal blocks. Images are cut as a person sees them. Raises ParameterError.
    """
    inputs = dict(leaves(task.x))
    several = isinstance(task.x, Mapping)
    named = several and isinstance(segments, Mapping) and set(segments) <= set(inputs)
    labels: dict[str, list[Array]] = {}
    layouts: dict[str, list[Layout]] = {}
    for name, x in inputs.items():
        asked, spec = segments.get(name) if named else segments, task.spec[name] if several else task.spec
        if kind := _kind(asked):
            labels[name], layouts[name], bands = laid_out(spec, x, kind, _named(asked)[1])
            task.notes.update({} if bands is None else {"bands": bands})
        else:
            display = task.display[name] if several else task.display
            labels[name] = _labels(asked, spec, x, display, (image, count, task.seed))
    return [
        Parts({n: maps[i] for n, maps in labels.items()}, {n: own[i] for n, own in layouts.items()})
        for i in range(len(next(iter(inputs.values()))))
    ]


def has_layout(segments: Any) -> bool:
    """Whether these are bands or channels, of any input."""
    several = list(segments.values()) if isinstance(segments, Mapping) and "name" not in segments else [segments]
    return any(_kind(asked) is not None for asked in several)


def _kind(asked: Any) -> str | None:
    """Give the name of parts that have a layout of their own, if they are asked for."""
    if isinstance(asked, np.ndarray) or (isinstance(asked, list) and not _is_stored(asked)):
        return None
    name = _named(asked)[0]
    return name if name in KINDS else None


def _is_stored(asked: list[Any]) -> bool:
    """Whether this is a name with parameters that was a tuple before it was stored."""
    return len(asked) == 2 and isinstance(asked[0], str)


def paint(task: Question, parts: Sequence[Parts], values: Sequence[Array]) -> dict[str, Any]:
    """Lay the values of the parts (part,) of every sample back on its places.

    Gives what a Map takes: `values` (sample, *places), 0 where there is no part, `axes`, `parts` and `part_values`
    (sample, part), NaN-padded; each a mapping by name when there are several inputs. A Table's places are its columns;
    bands and channels of a series are their own places, and neither has parts beside.
    Of a Text whose words are several tokens each token has an equal share of its word.
    """
    several = isinstance(task.x, Mapping)
    found = {
        name: _painted(
            task.spec[name] if several else task.spec,
            [p.labels[name] for p in parts],
            [v[p.slices[name]] for p, v in zip(parts, values, strict=True)],
            parts[0].layouts.get(name),
        )
        for name in parts[0].labels
    }
    fields = ("values", "axes", "parts", "part_values")
    if not several:
        return dict(zip(fields, found[""], strict=True))
    return {field: {name: f[i] for name, f in found.items()} for i, field in enumerate(fields)}


def _painted(
    spec: Any, labels: list[Array], values: list[Array], layout: Layout | None
) -> tuple[Array, tuple[str, ...] | None, Array | None, Array | None]:
    if layout is not None:
        return np.stack(values).reshape(len(values), *layout.shape), layout.axes, None, None
    part_values = _padded(values)
    if spec.kind == "Table":
        columns = np.broadcast_to(np.arange(part_values.shape[1]), part_values.shape)
        return part_values.copy(), ("column",), columns.copy(), part_values
    if spec.kind == "Text":
        values = [v / np.bincount(a[a >= 0], minlength=len(v)) for v, a in zip(values, labels, strict=True)]
    painted = np.stack([np.append(v, 0.0)[a] for v, a in zip(values, labels, strict=True)])
    return painted, spec.axes[: labels[0].ndim] or None, np.stack(labels), part_values


def summed(values: Array, labels: Array) -> Array:
    """Sum values (sample, *places) over the parts that `labels` (sample, *places) name: (sample, part), NaN-padded."""
    return _padded([np.bincount(a[a >= 0], weights=v[a >= 0]) for v, a in zip(values, labels, strict=True)])


def _padded(values: Sequence[Array]) -> Array:
    """Stack rows of different lengths, filled up with NaN."""
    found = np.full((len(values), max(len(v) for v in values)), np.nan)
    for row, v in zip(found, values, strict=True):
        row[: len(v)] = v
    return found


# --- label maps of one input ------------------------------------------------------------------------------------------


def _labels(asked: Any, spec: Any, x: Array, display: Any, default: tuple[str, int, int]) -> list[Array]:
    """Give the label maps of one input; padding belongs to no part."""
    found, present = _over_all(asked, spec, x, display, default), spec.present(x)
    if present is None or (spec.kind == "Text" and asked is None):
        return found
    return [renumbered(np.where(over(p, a), a, -1)) for p, a in zip(present, found, strict=True)]


def _over_all(asked: Any, spec: Any, x: Array, display: Any, default: tuple[str, int, int]) -> list[Array]:
    image, count, seed = default
    if isinstance(asked, np.ndarray | list):
        return _own(asked, spec, x)
    if spec.kind == "Table":
        _refuse(asked, "the parts of a Table are its columns")
        return [spec.parts.astype(np.int32)] * len(x)
    if spec.kind == "Text":
        _refuse(asked, "the parts of a Text are its tokens")
        return [
            spec.words(d) if spec.subwords and isinstance(d, str) else _tokens(ids, spec.pad)
            for ids, d in zip(x, display, strict=True)
        ]
    name, parameters = _named(asked)
    if spec.kind == "Image":
        return [_superpixels(np.asarray(d), name or image, count, seed, parameters) for d in display]
    if name not in (None, "grid"):
        raise ParameterError(f"segments {name!r} needs an Image; for {spec.kind} give a number of parts or a label map")
    return [_blocks(spec, x.shape[1:], parameters.get("n_segments"), count)] * len(x)


def _refuse(asked: Any, reason: str) -> None:
    if asked is not None:
        raise ParameterError(f"{reason}: leave segments out, or give a label map; not {asked!r}")


def _named(asked: Any) -> tuple[str | None, dict[str, Any]]:
    """Read a number, a name, or a name with parameters as (name, parameters)."""
    if asked is None or isinstance(asked, str):
        return asked, {}
    if isinstance(asked, int | np.integer) and not isinstance(asked, bool):
        if asked < 1:
            raise ParameterError(f"segments must be at least 1, not {asked}")
        return None, {"n_segments": int(asked)}
    if isinstance(asked, Mapping) and isinstance(asked.get("name"), str):
        return asked["name"], {k: v for k, v in asked.items() if k != "name"}
    pair = tuple(asked) if isinstance(asked, tuple | list) else ()
    if len(pair) == 2 and isinstance(pair[0], str) and isinstance(pair[1], Mapping):
        return pair[0], dict(pair[1])
    raise ParameterError(
        f"segments is a number of parts, a name ({', '.join(SEGMENTERS)}), a name with parameters such as "
        f"('slic', {{'n_segments': 30}}), or an integer label map; not {asked!r}"
    )


def _own(asked: Any, spec: Any, x: Array) -> list[Array]:
    """Check a label map, for all samples or one for each, and number its parts from 0."""
    given = np.asarray(asked)
    full = x.shape[1:]
    shapes = {"Image": [full[:2]], "Series": [full[:1], full]}.get(spec.kind, [full])
    if given.dtype.kind not in "iu":
        raise ParameterError(f"a label map holds integers, not {given.dtype}")
    for shape in shapes:
        if given.shape == shape:
            return [renumbered(given)] * len(x)
        if given.shape == (len(x), *shape):
            return [renumbered(a) for a in given]
    raise ParameterError(f"the label map has shape {given.shape}, expected {' or '.join(map(str, shapes))}")


def renumbered(labels: Array) -> Array:
    """Number the parts 0, 1, ... in the order of their labels; negative labels become -1."""
    known = np.unique(labels[labels >= 0])
    if not len(known):
        raise ParameterError("the label map names no part: all its labels are negative")
    return np.where(labels >= 0, np.searchsorted(known, labels), -1).astype(np.int32)


def _tokens(ids: Array, pad: int) -> Array:
    words = ids != pad
    words = words if words.any() else ~words
    return np.where(words, np.cumsum(words) - 1, -1).astype(np.int32)


def _blocks(spec: Any, shape: tuple[int, ...], asked: int | None, count: int) -> Array:
    """Cut a series into windows, and an array into its entries or into blocks over its space."""
    if spec.kind == "Series":
        return grid(shape[:1], asked or min(WINDOWS, count, shape[0]))
    space = [i for i, axis in enumerate(spec.axes) if axis in SPACE]
    single = len(shape) == 1 or int(np.prod(shape)) <= SINGLE
    if asked is None and not space and single:
        return np.arange(np.prod(shape), dtype=np.int32).reshape(shape)
    axes = space or [i for i, n in enumerate(shape) if single or n > 4]
    cells = grid(tuple(shape[i] for i in axes), asked or count)
    return np.broadcast_to(np.expand_dims(cells, [i for i in range(len(shape)) if i not in axes]), shape).copy()


def grid(shape: tuple[int, ...], count: int) -> Array:
    """Cut a shape into about `count` equal cells, as near to cubes as they can be: labels of that shape."""
    side = (np.prod(shape) / count) ** (1 / len(shape))
    cells = [int(np.clip(np.round(n / side), 1, n)) for n in shape]
    along = [np.arange(n) * k // n for n, k in zip(shape, cells, strict=True)]
    return np.ravel_multi_index(np.meshgrid(*along, indexing="ij"), cells).astype(np.int32)


# --- superpixels ------------------------------------------------------------------------------------------------------


def _superpixels(image: Array, name: str, count: int, seed: int, parameters: dict[str, Any]) -> Array:
    if name not in SEGMENTERS:
        raise UnknownName("segmentation", name, SEGMENTERS)
    count = max(1, min(count, image.shape[0] * image.shape[1] // PIXELS))
    try:
        found = SEGMENTERS[name](_unit_range(image), seed, **{"n_segments": count, **parameters})
    except TypeError as error:
        raise ParameterError(f"segments {name!r} does not take these parameters: {error}") from None
    return renumbered(np.asarray(found))


def _unit_range(image: Array) -> Array:
    """Stretch an image in display units to 0..1, float32; an even image becomes 0."""
    values = np.asarray(image, np.float32)
    low, high = values.min(), values.max()
    return (values - low) / (high - low) if high > low else np.zeros_like(values)


def _slic(image: Array, seed: int, *, n_segments: int, compactness: float | None = None, **more: Any) -> Array:
    """Superpixels by k-means in colour and place. Source: Achanta et al., "SLIC superpixels" (2012).

    Without a compactness it starts from one that follows edges, and is raised until the image falls into at least half
    the segments asked for: noise has no edges to follow.
    """
    from skimage.segmentation import slic

    colour = image.shape[-1] == 3
    how = {"max_num_iter": 5, "start_label": 0, "channel_axis": -1, "convert2lab": colour, **more}
    wanted = min(n_segments, image.shape[0] * image.shape[1]) / 2
    start = 20.0 if colour else 0.1
    for chosen in (start, 10 * start, 100 * start) if compactness is None else (compactness,):
        labels = slic(image, n_segments=n_segments, compactness=chosen, **how)
        if len(np.unique(labels)) >= wanted:
            break
    return np.asarray(labels)


def _quickshift(image: Array, seed: int, *, n_segments: int, **more: Any) -> Array:
    """Mode seeking in colour and place; its own parameters set the number of parts, not `n_segments`.

    For images of 128 pixels and more the defaults are those of the lime package; smaller ones take a finer kernel.
    """
    from skimage.segmentation import quickshift

    colours = np.repeat(image, 3, axis=-1) if image.shape[-1] == 1 else image
    size = {"kernel_size": 4, "max_dist": 200} if min(image.shape[:2]) >= 128 else {"kernel_size": 1, "max_dist": 10}
    how = {**size, "ratio": 0.2, "rng": seed, "convert2lab": colours.shape[-1] == 3, **more}
    return np.asarray(quickshift(colours, **how))  # type: ignore[no-untyped-call]


def _felzenszwalb(image: Array, seed: int, *, n_segments: int, **more: Any) -> Array:
    """Merge along minimum spanning trees; `n_segments` only sets the smallest part, a quarter of the mean."""
    from skimage.segmentation import felzenszwalb

    pixels = image.shape[0] * image.shape[1]
    how = {
        "scale": 100 * min(1, pixels**0.5 / 224),
        "sigma": 0.8,
        "min_size": max(1, pixels // (4 * n_segments)),
        **more,
    }
    return np.asarray(felzenszwalb(image, channel_axis=-1, **how))


def _grid(image: Array, seed: int, *, n_segments: int) -> Array:
    return grid(image.shape[:2], n_segments)


SEGMENTERS: dict[str, Callable[..., Array]] = {
    "slic": _slic,
    "quickshift": _quickshift,
    "felzenszwalb": _felzenszwalb,
    "grid": _grid,
}
