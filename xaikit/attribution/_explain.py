"""`explain`: from a model, samples and the name of a method to an Attribution with its evidence."""

import hashlib
import platform
import time
from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import replace
from functools import cache
from importlib import metadata
from typing import Any

import numpy as np

from xaikit.arrays import SPACE, Array, Tensors, each, leaves, length, rows
from xaikit.attribution._dialects import preset, spoken
from xaikit.attribution._embedded import carry_out
from xaikit.attribution._evidence import require_level, with_evidence
from xaikit.attribution._method import Map, Method, Misfit, Task, agree, fingerprint, methods, probabilities
from xaikit.attribution._outputs import fits_logits, is_known, is_named, note_logits, note_output, output_like
from xaikit.blas import one_thread
from xaikit.errors import InputError, NotSupported, ParameterError, UsageError
from xaikit.inputs import Classes, Masks, Scores, Table, Text, resolve
from xaikit.model import Model
from xaikit.perturb.budget import Budget
from xaikit.perturb.copies import check_kind
from xaikit.perturb.memory import MEMORY
from xaikit.perturb.segments import summed
from xaikit.progress import Progress, bar
from xaikit.results import Attribution, Attributions, Origin, judge

SCORES = ("output", "logit", "probability")


def explain(
    model: Model,
    x: Any,
    method: str,
    target: Any = None,
    *,
    seed: int = 0,
    score: str | None = None,
    progress: Progress | bool | None = None,
    max_calls: int | None = None,
    max_batch: int | None = None,
    time_limit: float | None = None,
    tolerance: float | None = None,
    accelerate: str = "auto",
    evidence: str = "free",
    **parameters: Any,
) -> Any:
    """Explain one score of a model for samples `x` by the method of that name, and give an Attribution.

    `x` is what a person has (a path, a picture, an array in display units, a string, a row) or a list or batch of
    these, such as (sample, height, width, channel); `values` of the result have these axes, one map for each sample, in
    units of the score. `target` is a class index or name, xk.Margin, xk.At, xk.Region, xk.ReconstructionError, or a
    list with one per sample; None is the predicted class or the only output. `score` is "logit", "probability" or
    "output" (None: what the method explains by default). `parameters` are the method's own
    (`xk.methods[name].parameters()`). A model with several inputs gives Attributions, one Attribution per input.
    `dialect="captum"`, one more parameter of many methods, takes that library's defaults (`xaikit methods --dialects`
    lists them); parameters that are given go before them.

    `progress` is a function of (done, total), True, False, or None for a bar with the time left when the work is long;
    raise xaikit.errors.Cancelled in it to stop, and methods that perturb give what they have.

    The budget: `max_calls` bounds the model calls of perturbation methods for each sample; `max_batch` the rows of one
    pass through the network (None: found by the size of its layers); `time_limit`, in seconds, the whole call: what was
    found by then is given, with quality["complete"] < 1 and status "warn", to within one batch. With a `tolerance`
    methods that draw samples stop once the standard error, relative to the largest value, is at most that (0.02, say),
    and integrated-gradients takes more steps until its sum is that close; without one they draw all. What was set is
    in `origin.notes["budget"]`.

    `accelerate` lets methods that only run the model (no gradients) run a faster copy of it: "none"; "channels-last"
    (torch: channels last in memory, batch norms and ReLUs taken into the convolutions before them, whose weights are
    kept as the processor reads them); "onnxruntime" (needs the extra `fast`); "compile" (torch.compile: minutes to
    prepare); "auto" takes ONNX Runtime for 100 or more calls for a sample, channels-last for 32 or more, and the model
    itself for fewer, on a GPU and where no copy can be had. A copy is prepared once for a wrapped model, compared with
    it on its first batch, and dropped if outputs differ by over 1e-4; `origin.notes["accelerated"]` has by its kind the
    seconds to prepare it and the largest difference, `["not_accelerated"]` why a copy was passed over. A GPU is sent
    which parts an input shows, and masks it there (not for inpainting, dropped words, bands, rise and score-cam).

    `evidence="full"` checks the explanation beyond what costs nothing: deletion and insertion beside random maps, rank
    agreement over three seeds for methods that draw samples, and what is left of the map when all weights are random;
    the numbers are in `quality`, the status heeds them, and `origin.notes["evidence"]` says what they cost. Some of
    these checks are asked for by name: evidence="faithfulness,stability" ("randomisation" is the third).

    Raises UnknownName, ParameterError, TargetError, InputError, NotSupported if the model cannot serve the method or
    has no copy of the kind asked for, and TimeUp if the time limit was over before there was anything to give.
    """
    budget = Budget(max_calls, max_batch, time_limit, tolerance)
    if not isinstance(seed, int | np.integer) or isinstance(seed, bool) or not 0 <= seed < 2**32:
        raise ParameterError(f"the seed is a whole number from 0 to 2**32 - 1, not {seed!r}")
    require_level(evidence)
    cls = named(method)
    explainer = cls.make(parameters)
    require_model(model, cls)
    require_copy(cls, method, accelerate)
    start = time.perf_counter()
    asked, model = model, budget.bound(model, start)
    encoded, display = prepare(model, x)
    solves = "pull" not in cls.needs and getattr(model, "own_threads", False)
    with bar(progress, method) as shown, one_thread() if solves else nullcontext():

        def answered() -> Attribution | Attributions:
            asks = score or own_score(method, explainer)
            scores, prediction, logits, by_logits = scores_of(model, cls, encoded, target, asks)
            task = Task(
                model,
                encoded,
                model.inputs,
                display,
                scores,
                prediction,
                seed,
                shown,
                max_calls,
                by_logits=by_logits,
                deadline=budget.deadline(start),
                tolerance=tolerance,
                accelerate=accelerate,
                notes={"budget": budget.note} if budget.note else {},
            )
            if logits is not None and length(encoded) == 1:
                task.remember(encoded, probabilities(logits, model.outputs))
            elif scores.kind == "output" and prediction is not None:
                task.remember(encoded, prediction)
            return answer(task, method, explainer, start)

        try:
            found = answered()
        except Misfit:  # this sample takes another way through the network: the logits are tried on it beforehand
            MEMORY.clear()
            note_logits(model, encoded, False)
            found = answered()
    return found if evidence == "free" else with_evidence(budget.timed(asked, start), found, progress, evidence)


def answer(task: Task, method: str, explainer: Method, start: float) -> Attribution | Attributions:
    """Carry out a method on a task; `start` is when the work began, by time.perf_counter."""
    found = in_dialect(carry_out(explainer, task), task, method, explainer)
    found = replace(found, quality={**found.quality, "score": _score(task)})
    prediction = task.prediction
    if task.predicted is not None:  # else what it costs, if anything, was counted where it was asked for
        task.calls["model_calls"] += length(task.x)
    return _results(task, found, prediction, method, explainer, time.perf_counter() - start)


def scores_of(
    model: Model, cls: type[Method], x: Tensors, target: Any, asked: str | None
) -> tuple[Scores, Tensors | None, Tensors | None, bool]:
    """Give the scores of a target; the raw output for `x`, None where it need not be known before; the logits of the
    first sample, where these were tried; and whether probabilities, if they are explained, are taken from logits.

    The predicted class does need the output. For another one pass gives the output and what the method asks for, once
    something is known of the model.
    """
    gradients = "pull" in cls.needs
    like = output_like(model, x) if is_named(target) and (gradients or is_known(model, x)) else None
    if like is not None:
        kind = score_kind(model, cls, asked)
        if kind != "probability" or (not gradients and fits_logits(model, x)):
            return resolve(target, model.outputs, like, kind), None, None, kind == "probability"
    both = _with_logits(model, x) if is_known(model, x) and score_kind(model, cls, asked) == "probability" else None
    prediction = model.run(x).output if both is None else both[0]
    note_output(model, x, prediction)
    kind = score_kind(model, cls, asked)
    if both is None:
        both = prediction, logits_of(model, x, prediction) if kind == "probability" else None
    if kind == "probability":
        note_logits(model, x, both[1] is not None)
    return resolve(target, model.outputs, prediction, kind), *both, both[1] is not None


def _with_logits(model: Model, x: Tensors) -> tuple[Tensors, Tensors | None] | None:
    """Give a single sample's raw output, and its logits if they fit, by one pass; None where it takes two."""
    if length(x) > 1 or "pull" not in model.can or _masks(model):
        return None
    try:
        run = model.run(x, score="logit")
    except NotSupported:
        return None
    return None if run.raw is None else (run.raw, _fitting(model, run.output, run.raw))


def own_score(method: str, explainer: Method) -> str | None:
    """Give the form of the output that the method's dialect explains, if it speaks one."""
    return None if explainer.dialect is None else preset(method, explainer.dialect).score


def in_dialect(found: Map, task: Task, method: str, explainer: Method) -> Map:
    """Take the last steps of the method's dialect; what was said of the sum of the values holds no longer then."""
    dialect = None if explainer.dialect is None else preset(method, explainer.dialect)
    if dialect is None or not dialect.steps:
        return found
    drawn = {n: spoken(dialect, values, *_frame(task, found, n)) for n, values in leaves(found.values)}
    several = isinstance(found.values, Mapping)
    values: Any = {n: v for n, (v, _) in drawn.items()} if several else drawn[""][0]
    axes: Any = {n: a for n, (_, a) in drawn.items()} if several else drawn[""][1]
    quality = {n: a for n, a in found.quality.items() if not n.startswith("completeness")}
    return replace(found, values=values, axes=axes, parts=None, part_values=None, quality=quality)


def _frame(task: Task, found: Map, name: str) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Give the axes of a map, and the size of its input along those of space or time."""
    spec, x = task.spec[name] if name else task.spec, dict(leaves(task.x))[name]
    axes = (found.axes[name] if isinstance(found.axes, Mapping) else found.axes) or spec.axes
    sizes = dict(zip(spec.axes, x.shape[1:], strict=False))
    return tuple(axes), tuple(sizes[a] for a in axes if a in SPACE and a in sizes)


def named(method: Any) -> type[Method]:
    """Give the method of that name. Raises UnknownName, and UsageError for what is no name."""
    if isinstance(method, str):
        return methods[method]
    several = "; xk.compare takes several" if isinstance(method, list | tuple) else ""
    raise UsageError(f"a method is one name of xk.methods, such as 'saliency', not {method!r}{several}")


def require_model(model: Any, cls: type[Method]) -> None:
    """Raise UsageError for what is no wrapped model, and NotSupported if it cannot do what the method needs."""
    require_wrapped(model, "explain")
    cls.examine(model)


def require_copy(cls: type[Method], method: str, accelerate: str) -> None:
    """Raise ParameterError for an unknown kind of copy, and for one that was asked for where gradients are needed."""
    check_kind(accelerate)
    if accelerate not in ("auto", "none") and "pull" in cls.needs:
        raise ParameterError(
            f"{method} needs gradients, which no accelerated copy has: use accelerate='auto', not {accelerate!r}"
        )


def require_wrapped(model: Any, asked: str) -> None:
    """Raise UsageError for what is no wrapped model; `asked` names the function that was called."""
    if not (hasattr(type(model), "run") and hasattr(model, "can")):
        raise UsageError(f"{asked} takes a wrapped model: xk.wrap(net, inputs=...), not {type(model).__name__}")


def prepare(model: Model, x: Any) -> tuple[Tensors, Any]:
    """Encode what a person gives by the model's input spec; give the batch and what a person sees."""
    spec = model.inputs
    if not isinstance(spec, Mapping):
        return spec.prepare(x)
    if not isinstance(x, Mapping):
        raise InputError(f"{model.name} has several inputs: give a mapping with {', '.join(spec)}")
    missing, extra = [n for n in spec if n not in x], [n for n in x if n not in spec]
    if missing or extra:
        raise InputError(f"the inputs must be {', '.join(spec)}, not {', '.join(map(str, x))}")
    both = {n: s.prepare(x[n]) for n, s in spec.items()}
    counts = {n: len(encoded) for n, (encoded, _) in both.items()}
    if len(set(counts.values())) > 1:
        raise InputError(f"the inputs have different numbers of samples: {counts}")
    return {n: b[0] for n, b in both.items()}, {n: b[1] for n, b in both.items()}


def score_kind(model: Model, cls: type[Method], asked: str | None) -> Any:
    """Decide in which form the output is explained: as asked, else the method's own where there are classes."""
    if asked is not None and asked not in SCORES:
        raise ParameterError(f"score must be one of {', '.join(SCORES)}, not {asked!r}")
    specs = model.outputs.values() if isinstance(model.outputs, Mapping) else [model.outputs]
    classes = any(s.kind in ("Classes", "Masks") for s in specs)
    return (asked or cls.score) if classes else (asked or "output")


def has_logits(model: Model, x: Tensors, prediction: Tensors) -> bool:
    """Whether the model's logits give its probabilities, tried on the first sample."""
    return logits_of(model, x, prediction) is not None


def logits_of(model: Model, x: Tensors, prediction: Tensors) -> Tensors | None:
    """Give the logits of the first sample, or None if they do not give its probabilities.

    They do not where the softmax is the network's own arithmetic, which no adapter recognises, nor for Masks.
    """
    if _masks(model):
        return None
    first = slice(0, 1)
    try:
        logits = model.run(rows(x, first), score="logit").output
    except NotSupported:
        return None
    return _fitting(model, logits, rows(prediction, first))


def _masks(model: Model) -> bool:
    specs = model.outputs.values() if isinstance(model.outputs, Mapping) else [model.outputs]
    return any(isinstance(s, Masks) for s in specs)


def _fitting(model: Model, logits: Tensors, prediction: Tensors) -> Tensors | None:
    """Give the logits, or None if they do not give the probabilities beside them."""
    return logits if agree(model, probabilities(logits, model.outputs), prediction) else None


def _results(
    task: Task, found: Map, prediction: Tensors, method: str, explainer: Method, seconds: float
) -> Attribution | Attributions:
    origin = _origin(task, found, method, explainer, seconds)
    if not isinstance(task.x, Mapping):
        return _attribution(task, found, prediction, origin, None)
    names = found.values if isinstance(found.values, Mapping) else task.x
    return Attributions({name: _attribution(task, found, prediction, origin, name) for name in names})


def _attribution(task: Task, found: Map, prediction: Tensors, origin: Origin, name: str | None) -> Attribution:
    def own(value: Any) -> Any:
        return value[name] if name is not None and isinstance(value, Mapping) else value

    spec = own(task.spec)
    values, axes = np.asarray(own(found.values)), own(found.axes) or spec.axes
    if isinstance(spec, Table) and values.shape[1:] == spec.shape:
        values, axes = _by_column(values, spec), ("column",)
    axes = axes or tuple(f"axis {i}" for i in range(values.ndim - 1))
    parts, part_values, offsets = own(found.parts), own(found.part_values), None
    if isinstance(spec, Text) and all(isinstance(d, str) for d in own(task.display)):
        offsets = np.stack([spec.offsets(d) for d in own(task.display)])
        if parts is None and spec.subwords and axes == ("token",):
            parts = np.stack([spec.words(d) for d in own(task.display)])
            part_values = summed(values, parts)
    quality = {k: np.asarray(v, np.float64) for k, v in found.quality.items()}
    if isinstance(spec, Text) and (read := spec.read(own(task.display))).min() < 1:
        quality["read"] = read
    calls = np.full(len(task), task.calls["model_calls"] / len(task))
    quality = {**quality, "model_calls": calls}
    return Attribution(
        values=values,
        axes=("sample", *axes),
        parts=parts,
        part_values=part_values,
        x=own(task.x),
        display=own(task.display),
        input_spec=spec,
        output_spec=task.model.outputs,
        prediction=prediction,
        target=tuple(s.target for s in task.scores.each),
        quality=quality,
        status=judge(quality, values),
        origin=origin,
        target_labels=tuple(s.label for s in task.scores.each),
        layer=found.layer,
        offsets=offsets,
    )


def _score(task: Task) -> Array:
    """Give f(x) of every sample: from the prediction if it is in the form of the scores, else from the model."""
    specs = task.model.outputs.values() if isinstance(task.model.outputs, Mapping) else [task.model.outputs]
    forms = {getattr(s, "form", None) for s in specs if isinstance(s, Classes | Masks)}  # of masks it is not known
    if not forms or task.scores.kind == "output" or (task.scores.kind == "probability" and not task.by_logits):
        return task.scores.value(task.prediction, task.x)
    if forms != {"logits"}:
        return task.value(task.x)
    said = probabilities(task.prediction, task.model.outputs) if task.by_logits else task.prediction
    return task.scores.value(said, task.x)


def _by_column(values: Array, spec: Table) -> Array:
    """Sum the values of a column's dummies: (sample, column)."""
    starts = np.cumsum([0, *(c.width for c in spec.columns.values())])[:-1]
    return np.add.reduceat(values, starts, axis=1)


def _remarks(task: Task) -> dict[str, Any]:
    """Say what of the texts the network does not see."""
    several = isinstance(task.spec, Mapping)
    texts = [(n, task.spec[n] if several else task.spec) for n, _ in leaves(task.x)]
    said = {n: s.remarks(task.display[n] if several else task.display) for n, s in texts if isinstance(s, Text)}
    return {f"{word} in {n}" if several else word: what for n, r in said.items() for word, what in r.items()}


def _origin(task: Task, found: Map, method: str, explainer: Method, seconds: float) -> Origin:
    model = task.model
    known = explainer.parameters()
    used = {n: value for n, value in vars(explainer).items() if n in known}
    if explainer.dialect is not None:
        used["dialect"] = explainer.dialect
    if found.layer is not None and "layer" in used:
        used["layer"] = found.layer
    return origin_of(
        model,
        task.x,
        method,
        parameters=used,
        seconds=seconds,
        calls=task.calls["model_calls"],
        score=task.scores.kind,
        seed=task.seed,
        notes={**_remarks(task), **found.notes, **task.notes},
        marked=(task.fingerprint,),
    )


def origin_of(
    model: Model,
    x: Tensors | None,
    method: str,
    *,
    parameters: Mapping[str, Any],
    seconds: float,
    calls: int,
    score: str = "output",
    seed: int = 0,
    notes: Mapping[str, Any] | None = None,
    marked: tuple[str | None] | None = None,
) -> Origin:
    """Record how a result about the encoded batch `x`, or about no sample, came about; `marked` holds the model's
    fingerprint where it is known."""
    return Origin(
        method=method,
        parameters=dict(parameters),
        score=score,
        model=model.name,
        framework=model.framework,
        fingerprint=fingerprint(model) if marked is None else marked[0],
        weights_id=model.weights_id,
        input_hash=() if x is None else tuple(input_hash(rows(x, slice(i, i + 1))) for i in range(length(x))),
        seed=seed,
        versions=versions(model.framework),
        device=model.device,
        seconds=seconds,
        model_calls=calls,
        notes=dict(notes or {}),
    )


def input_hash(x: Tensors) -> str:
    """SHA-256 over the names, shapes, types and bytes of one encoded sample."""
    digest = hashlib.sha256()
    for name, a in leaves(each(np.ascontiguousarray, x)):
        digest.update(f"{name}\0{a.shape[1:]}\0{a.dtype.str}\0".encode())
        digest.update(a.data if a.dtype.kind in "biuf" else a.tobytes())
    return digest.hexdigest()


@cache
def versions(framework: str) -> dict[str, str]:
    """Give the versions of xaikit, Python, NumPy and the framework's packages."""
    packages = {"torch": ("torch",), "keras": ("keras", "tensorflow", "tensorflow-cpu")}.get(framework, ())
    found = {"python": platform.python_version(), "numpy": np.__version__}
    for package in ("xaikit", *packages):
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found
