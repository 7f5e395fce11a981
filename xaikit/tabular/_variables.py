"""Variables: what is shuffled, set or moved as one - a column, a channel, a window of time, a band of frequencies."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np

from xaikit.arrays import Array
from xaikit.errors import InputError, ParameterError, UnknownName
from xaikit.inputs import Category, Number, Table
from xaikit.perturb.bands import BANDS

KINDS = ("channels", "windows", "channel-windows", "bands")
WINDOWS = 10
REST = "everything else"


@dataclass(frozen=True, eq=False)
class Variable:
    """Some of the numbers of a row, which belong together; `places` are their indices in a flat row.

    `kind` is "number" (one number, shown as number · std + mean), "category" (of `codes` (value, place), shown as
    `words`), "level" (several numbers, shown as their mean) or "amplitude" (a band, shown as the root mean square of
    what it adds, in which each of `places` counts with one of `weights`). `members` names the columns in it.
    """

    name: str
    places: Array
    kind: str
    mean: float = 0.0
    std: float = 1.0
    words: tuple[Any, ...] = ()
    codes: Array | None = None
    members: tuple[str, ...] = ()
    weights: Array | None = None

    def numbers(self, flat: Array) -> Array:
        """Give the value of every row as one number: (row,); of a category the index of its word."""
        part = flat[:, self.places]
        if self.kind == "category":
            codes = np.asarray(self.codes)
            return np.asarray(((part[:, None] - codes[None]) ** 2).sum(-1).argmin(1), np.float64)
        if self.kind == "amplitude":
            return np.asarray(np.sqrt((np.abs(part) ** 2 * self.weights).sum(1, dtype=np.float64)))
        plain = np.asarray(part.mean(1, dtype=np.float64) * self.std + self.mean)
        if self.kind == "level" or (self.mean, self.std) == (0.0, 1.0):
            return plain
        size = max(
            abs(self.mean), abs(self.std)
        )  # (v - mean)/std in float32 has lost what lies below a millionth of it
        return np.round(plain, int(6 - np.floor(np.log10(size))))

    def put(self, out: Array, value: float) -> None:
        """Set the variable of all rows of `out` (row, place) to a value, in place.

        Of a level the rows are shifted as a whole, of an amplitude scaled; a band that is silent stays so.
        """
        if self.kind == "category":
            out[:, self.places] = np.asarray(self.codes)[int(value)]
        elif self.kind == "number":
            out[:, self.places] = (value - self.mean) / self.std
        elif self.kind == "level":
            out[:, self.places] += ((value - self.numbers(out)) / self.std)[:, None].astype(out.dtype)
        else:
            now = self.numbers(out)
            out[:, self.places] *= np.divide(value, now, out=np.zeros_like(now), where=now > 0)[:, None]

    def word(self, number: float) -> str:
        """Write a value as text."""
        if self.kind == "category":
            return str(self.words[int(number)])
        return f"{number:.6g}" if abs(number) >= 1000 else f"{number:.4g}"


@dataclass(frozen=True, eq=False)
class Frame:
    """The variables of a model's rows, and the way between its input (row, *shape) and flat rows (row, place)."""

    variables: tuple[Variable, ...]
    shape: tuple[int, ...]
    flatten: Callable[[Array], Array]
    restore: Callable[[Array], Array]

    @property
    def names(self) -> tuple[str, ...]:
        """The variables in order."""
        return tuple(v.name for v in self.variables)

    def __getitem__(self, name: Any) -> Variable:
        """Give a variable by its name or number. Raises UnknownName."""
        names = self.names
        if isinstance(name, int | np.integer) and not isinstance(name, bool) and -len(names) <= name < len(names):
            return self.variables[int(name)]
        if str(name) not in names:
            raise UnknownName("variable", str(name), names)
        return self.variables[names.index(str(name))]


def frame_of(spec: Any, x: Array, variables: Any = None, *, whole: bool = False) -> Frame:
    """Name the variables of a batch `x` (row, *shape) as a person asks for them.

    None is every column of a table, every number of a flat array, and the channels of anything with places. With
    `whole` what no variable holds becomes one more. Raises ParameterError, UnknownName, InputError.
    """
    if isinstance(spec, Mapping):
        raise ParameterError("variables of one input are asked for, and this model has several")
    shape = tuple(x.shape[1:])
    rate, series = getattr(spec, "rate", None), _over_time(spec, shape)
    asked = _asked(spec, shape, variables)
    if isinstance(asked, tuple) and asked[0] == "bands":
        found = _bands(asked[1], rate, series)
        size = (series[0] // 2 + 1) * series[1]
        rest = partial(_wave, shape=series)
        frame = Frame(_completed(found, size, whole, rest), shape, *_spectrum(series, shape))
    else:
        found = asked if isinstance(asked, list) else _windows(asked, series, rate, spec)
        size = int(np.prod(shape))
        rest = partial(Variable, kind="level")
        frame = Frame(_completed(found, size, whole, rest), shape, lambda a: a.reshape(len(a), -1), _unflat(shape))
    _check(frame)
    return frame


def _over_time(spec: Any, shape: tuple[int, ...]) -> tuple[int, ...]:
    """Take an input whose first axis is named "time" as (time, channel): the other axes number its channels."""
    if len(shape) > 2 and getattr(spec, "axes", ("",))[0] == "time":
        return shape[0], int(np.prod(shape[1:]))
    return shape


def _unflat(shape: tuple[int, ...]) -> Callable[[Array], Array]:
    return lambda flat: flat.reshape(len(flat), *shape)


def _spectrum(
    series: tuple[int, ...], shape: tuple[int, ...]
) -> tuple[Callable[[Array], Array], Callable[[Array], Array]]:
    """Give the way to a spectrum over time and back; the phases of what is left alone stay as they are."""
    steps, channels = series

    def there(x: Array) -> Array:
        return np.asarray(np.fft.rfft(x, axis=1).reshape(len(x), -1))

    def back(flat: Array) -> Array:
        waves = flat.reshape(len(flat), steps // 2 + 1, channels)
        return np.asarray(np.fft.irfft(waves, n=steps, axis=1), np.float32).reshape(len(flat), *shape)

    return there, back


def _asked(spec: Any, shape: tuple[int, ...], variables: Any) -> Any:
    """Give a list of variables, or a kind of windows with its argument."""
    if isinstance(variables, str) and variables in KINDS:
        return _needs_time((variables, None), spec, shape)
    if isinstance(variables, Mapping) and len(variables) == 1 and next(iter(variables)) in KINDS:
        return _needs_time(next(iter(variables.items())), spec, shape)
    if isinstance(variables, np.ndarray) and variables.shape == shape and variables.dtype.kind in "iu":
        labels = variables.reshape(-1)
        return [_several(str(k), np.flatnonzero(labels == k)) for k in np.unique(labels)]
    own = _own(spec, shape)
    if variables is None:
        return own
    if isinstance(variables, str):
        variables = [variables]
    if isinstance(variables, Mapping):
        return [_group(str(n), m, own, shape) for n, m in variables.items()]
    if isinstance(variables, Sequence):
        whole = Frame(tuple(own), shape, lambda a: a, lambda a: a)
        return [whole[n] for n in variables]
    raise ParameterError(
        f"variables are names, a mapping from names to columns, a label map of shape {shape} or one of "
        f"{', '.join(KINDS)}, not {type(variables).__name__}"
    )


def _needs_time(asked: tuple[str, Any], spec: Any, shape: tuple[int, ...]) -> tuple[str, Any]:
    if len(_over_time(spec, shape)) != 2:
        raise ParameterError(f"{asked[0]} are of inputs (time, channel); this model takes {shape}")
    return asked


def _own(spec: Any, shape: tuple[int, ...]) -> list[Variable]:
    """Give the variables that a spec has by itself."""
    if isinstance(spec, Table):
        return [_column(n, c, np.flatnonzero(spec.parts == i)) for i, (n, c) in enumerate(spec.columns.items())]
    if len(shape) == 1 or not shape:
        return [Variable(str(i), np.array([i]), "number", members=(str(i),)) for i in range(int(np.prod(shape)))]
    return _channels(_over_time(spec, shape), spec)


def _column(name: str, column: Number | Category, places: Array) -> Variable:
    if isinstance(column, Number):
        return Variable(name, places, "number", column.mean, column.std or 1.0, members=(name,))
    codes = np.array([column.to_network(v, name) for v in column.values], np.float32)
    return Variable(name, places, "category", words=column.values, codes=codes, members=(name,))


def _channels(shape: tuple[int, ...], spec: Any) -> list[Variable]:
    places = np.arange(int(np.prod(shape))).reshape(shape)
    found = []
    for c in range(shape[-1]):
        mean, std = (_of_channel(getattr(spec, n, d), c, shape) for n, d in (("mean", 0.0), ("std", 1.0)))
        found.append(_several(_channel(spec, c), places[..., c].reshape(-1), mean, std))
    return found


def _channel(spec: Any, c: int) -> str:
    """Name a channel: by its number, or where the axes over which channels are numbered have names, by these."""
    axes: tuple[str, ...] = getattr(spec, "axes", ())
    shape: tuple[int, ...] = getattr(spec, "shape", ())
    if len(shape) < 3 or axes[0] != "time":
        return f"channel {c}"
    at = zip(axes[1:], shape[1:], np.unravel_index(c, shape[1:]), strict=True)
    return ", ".join(f"{name} {i}" for name, size, i in at if size > 1) or f"channel {c}"


def _of_channel(value: Any, c: int, shape: tuple[int, ...]) -> float:
    a = np.asarray(value, np.float64).reshape(-1)
    return float(a[c] if len(a) == shape[-1] else a[0])


def _several(name: str, places: Array, mean: float = 0.0, std: float = 1.0) -> Variable:
    return Variable(name, places, "number" if len(places) == 1 else "level", mean, std or 1.0, members=(name,))


def _group(name: str, members: Any, own: list[Variable], shape: tuple[int, ...]) -> Variable:
    """Put columns, places or a mask of places under one name."""
    if isinstance(members, np.ndarray) and members.dtype == bool:
        if members.shape != shape:
            raise ParameterError(f"the mask of {name!r} has shape {members.shape}, one sample {shape}")
        return _several(name, np.flatnonzero(members))
    whole = Frame(tuple(own), shape, lambda a: a, lambda a: a)
    asked = [members] if isinstance(members, str | int | np.integer) else list(members)
    if not asked:
        raise ParameterError(f"the group {name!r} has no members")
    found = [whole[m] for m in asked]
    if len(found) == 1:
        one = found[0]
        return Variable(name, one.places, one.kind, one.mean, one.std, one.words, one.codes, one.members)
    places = np.concatenate([v.places for v in found])
    return Variable(name, places, "level", members=tuple(m for v in found for m in v.members))


def _windows(asked: Any, shape: tuple[int, ...], rate: float | None, spec: Any) -> list[Variable]:
    kind, given = asked
    steps, channels = shape
    places = np.arange(steps * channels).reshape(shape)
    if kind == "channels":
        return _channels(shape, spec)
    count = WINDOWS if given is None else given
    if not isinstance(count, int | np.integer) or not 1 <= count <= steps:
        raise ParameterError(f"{kind} takes a number of windows from 1 to the {steps} steps, not {given!r}")
    edges = np.linspace(0, steps, int(count) + 1).round().astype(int)
    times = _times(edges, rate)
    spans = [(f"{m}–{n}", slice(a, b)) for (m, n), (a, b) in zip(pairwise(times), pairwise(edges), strict=True)]
    if kind == "windows":
        same = all(np.ndim(getattr(spec, n, 0.0)) == 0 for n in ("mean", "std"))  # else one unit fits no window
        units = (_of_channel(getattr(spec, "mean", 0.0), 0, shape), _of_channel(getattr(spec, "std", 1.0), 0, shape))
        return [_several(said, places[s].reshape(-1), *(units if same else ())) for said, s in spans]
    whole = _channels(shape, spec)
    return [
        _several(f"{whole[c].name}, {said}", places[s, c], whole[c].mean, whole[c].std)
        for c in range(channels)
        for said, s in spans
    ]


def _times(steps: Array, rate: float | None) -> list[str]:
    """Write steps, or seconds with as many digits as tell them apart."""
    if not rate:
        return [str(step) for step in steps]
    found: list[str] = []
    for digits in (3, 6, 9, 17):
        found = [f"{t:.{digits}g} s" if t < 1000 else f"{t:.{max(digits, 6)}g} s" for t in (steps / rate).tolist()]
        if len(set(found)) == len(found):
            break
    return found


def _bands(given: Any, rate: float | None, shape: tuple[int, ...]) -> list[Variable]:
    bands = dict(BANDS if given is None else given)
    if not rate:
        raise ParameterError("bands are in hertz: give the input spec a rate, xk.Series or xk.Array(..., rate=...)")
    steps = shape[0]
    frequency = np.fft.rfftfreq(steps, 1 / rate)
    places = np.arange(len(frequency) * shape[1]).reshape(len(frequency), shape[1])
    found = []
    for name, (low, high) in bands.items():
        inside = (frequency >= low) & (frequency < high)
        if inside.any():
            found.append(_wave(str(name), places[inside].reshape(-1), (f"{low:g}–{high:g} Hz",), shape))
        elif given is not None:
            raise ParameterError(f"no frequency of {steps} steps at {rate:g} a second lies in the band {name!r}")
    return found


def _wave(name: str, places: Array, members: tuple[str, ...], shape: tuple[int, ...]) -> Variable:
    """Take places of a spectrum (frequency, channel) as one; all but the first and the last frequency stand for two."""
    steps, channels = shape
    number = places // channels
    weights = np.where((number == 0) | (2 * number == steps), 1.0, 2.0) / steps**2
    return Variable(name, places, "amplitude", members=members, weights=weights)


def _completed(found: list[Variable], size: int, whole: bool, rest: Callable[..., Variable]) -> tuple[Variable, ...]:
    """Add what no variable holds, where all of a row must be in one."""
    taken = np.zeros(size, bool)
    for v in found:
        taken[v.places] = True
    if not whole or taken.all():
        return tuple(found)
    return (*found, rest(REST, np.flatnonzero(~taken), members=(REST,)))


def _check(frame: Frame) -> None:
    if not frame.variables:
        raise ParameterError("there is no variable to work on")
    doubled = [n for n in set(frame.names) if frame.names.count(n) > 1]
    if doubled:
        raise ParameterError(f"two variables are called {doubled[0]!r}")
    if any(len(v.places) == 0 for v in frame.variables):
        empty = next(v.name for v in frame.variables if len(v.places) == 0)
        raise InputError(f"the variable {empty!r} holds nothing")
