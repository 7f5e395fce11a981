"""What the network answers to the input on the page Explain."""

from collections.abc import Mapping, Sequence
from typing import Any

import dash_mantine_components as dmc
import numpy as np
from dash import Dash, Input, Output, State, ctx, html

from xaikit.errors import XaikitError
from xaikit.figures import class_colour, class_picture, number, spoken
from xaikit.inputs import Classes, Masks, Reconstruction
from xaikit.jobs import Job, Unit
from xaikit.results import Prediction
from xaikit_app import pictures, polls, ui
from xaikit_app.services import Services
from xaikit_app.thumbs import in_words
from xaikit_app.work.describe import Description

MOST_CLASSES = 8
"""As many classes of pixels are named as there are colours."""


def card() -> Any:
    """Give the place of the answer."""
    return ui.card(html.Div(ui.waiting("Asking the network …"), id="explain-answer"), title="Answer")


def register(app: Dash, services: Services) -> None:
    """Add the callback that asks the network about the chosen sample."""
    polls.register(app, "explain-answer-poll")

    @app.callback(
        Output("explain-answer", "children"),
        Output("explain-predictions", "data"),
        Output("explain-answer-poll", "disabled"),
        Input("explain-sample", "data"),
        Input("explain-both", "checked"),
        Input("explain-answer-poll", "n_intervals"),
        State("explain-predictions", "data"),
        State("explain-view", "data"),
    )
    def ask(sample: str | None, both: bool, polled: int | None, kept: dict[str, Any], view: list[str]) -> Any:
        if not sample:
            return dmc.Text("Choose or give an input.", c="dimmed", size="sm"), {}, True
        # Dash drops an answer that a newer request overtakes, so what is kept may belong to an earlier sample.
        asked = [sample, bool(both)]
        ids = kept["jobs"] if kept.get("asked") == asked else []
        try:
            chosen, description = services.known(*view)
            value = services.sample(chosen, description, sample)
            if ctx.triggered_id == "explain-answer-poll" and ids:
                jobs = [services.job(id) for id in ids]
            else:
                wanted = services.both(chosen) if both else (chosen,)
                jobs = [services.submit(Unit(c.key, value, task="predict")) for c in wanted]
        except XaikitError as error:
            return ui.problem(error, "This input cannot be used"), {}, True
        now = {"asked": asked, "jobs": [job.id for job in jobs]}
        over = all(job.done for job in jobs)  # before what is shown: a job may end in between
        return _answer(jobs, description, value), now, over


def _answer(jobs: Sequence[Job], description: Description, value: Any) -> Any:
    """Give the input as the network sees it, and what it answers in every framework."""
    said = []
    for job in jobs:
        if job.status == "done":
            said.append(_said(job.result(), len(jobs) > 1))
        elif job.done:
            said.append(ui.problem(job.error or "it was given up", "The network gave no answer"))
        else:
            said.append(ui.waiting("Asking the network …"))
    return html.Div([_seen(value, description), html.Div(said, className="said")], className="answer")


def _seen(value: Any, description: Description) -> Any:
    spec = description.inputs
    if isinstance(spec, Mapping):
        shown = [html.Figure([html.Figcaption(n), _seen_as(value[n], one)]) for n, one in spec.items()]
        return html.Div(shown, className="seen-inputs")
    return _seen_as(value, spec)


def _seen_as(value: Any, spec: Any) -> Any:
    """Give one input as the network sees it."""
    if spec.kind == "Image":
        height, width = spec.shape[:2]
        alt = f"the input, {width} × {height} pixels"
        return html.Img(src=pictures.photo(spec.display(value), spec, 168), alt=alt, className="seen")
    if spec.kind in ("Series", "Array") and 1 <= np.squeeze(value).ndim <= 2:
        return html.Img(src=pictures.spark(np.squeeze(value)), alt="the input as a line", className="seen line")
    if spec.kind == "Table":
        return ui.facts([(k, f"{v:g}" if isinstance(v, float) else str(v)) for k, v in spec.display(value).items()])
    return ui.quoted(in_words(value, spec))


def _said(prediction: Prediction, named: bool) -> Any:
    head = [dmc.Text(spoken(prediction.origin.framework), size="xs", c="dimmed")] if named else []
    return html.Div([*head, *_outputs(prediction)], **{"data-testid": "prediction"})


def _outputs(prediction: Prediction) -> list[Any]:
    output, spec = prediction.output, prediction.output_spec
    if isinstance(output, Mapping):
        return [_one_output(name, np.asarray(values)[0], spec[name]) for name, values in output.items()]
    return [_one_output("", np.asarray(output)[0], spec, prediction)]


def _one_output(name: str, values: Any, spec: Any, prediction: Prediction | None = None) -> Any:
    head = [dmc.Text(name, fw=600, size="sm")] if name else []
    if isinstance(spec, Classes) and values.ndim == 1:
        p = spec.probabilities(values[None])[0]
        best = np.argsort(-p, kind="stable")[:5]
        pairs = [(spec.label(int(k)), float(p[k])) for k in best]
        return html.Div([*head, ui.shares(pairs, pairs[0][0])])
    if isinstance(spec, Classes) and values.ndim == 2:
        text = "".join(spec.label(int(k)) for k in values.argmax(-1))
        return html.Div([*head, dmc.Code(text, block=True)])
    if isinstance(spec, Masks):
        return html.Div([*head, *_mask(values.argmax(-1), spec)])
    if isinstance(spec, Reconstruction) and prediction is not None:
        return _reconstruction(prediction, values, spec)
    names = [str(n) for n in getattr(spec, "names", range(values.size))]
    flat = values.ravel()[: len(names)]
    return html.Div([*head, ui.facts([(n, number(float(v))) for n, v in zip(names, flat, strict=False)][:12])])


def _mask(best: Any, spec: Masks) -> list[Any]:
    """Give the best class of every pixel (height, width) as a picture, and how many pixels each class has."""
    share = np.bincount(best.ravel(), minlength=len(spec.names)) / best.size
    there = [int(k) for k in np.argsort(-share, kind="stable")[:MOST_CLASSES] if share[k]]
    colours = {spec.label(k): class_colour(k)[0] for k in there}
    told = ", ".join(f"{class_colour(k)[1]}: {spec.label(k)}" for k in there)
    alt = f"the best class of every pixel: {told}"
    drawn = html.Img(src=pictures.enlarged(class_picture(best), 168), alt=alt, className="seen")
    return [drawn, ui.shares([(spec.label(k), float(share[k])) for k in there], colours=colours)]


def _reconstruction(prediction: Prediction, values: Any, spec: Reconstruction) -> Any:
    """Give what an autoencoder makes of the input, with its error."""
    gap = values.astype(np.float64) - np.asarray(prediction.x)[0]
    error = float(np.mean(gap**2) if spec.error == "mse" else np.mean(np.abs(gap)))
    own = prediction.input_spec
    decoded = own.decode(values[None])[0]
    if own.kind == "Image":
        shown_ = np.clip(decoded, 0, 1 / own.scale) if pictures.in_bytes(own) else decoded
        drawn = html.Img(src=pictures.photo(shown_, own, 168), alt="the reconstruction", className="seen")
    else:
        drawn = html.Img(src=pictures.spark(decoded), alt="the reconstruction as a line", className="seen line")
    return html.Div([drawn, ui.facts([(f"reconstruction error ({spec.error})", number(error))])])
