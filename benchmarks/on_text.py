"""A torch LSTM that reads 200 words, beside lime."""

from collections.abc import Iterator
from functools import partial

import bare
import numpy as np
from cases import BARE, OURS, Scale, case, explained, row
from networks import reader, sentence
from page import Row

from xaikit.arrays import Array


@case("lime-text")
def lime_of_a_text(scale: Scale) -> Iterator[Row]:
    import torch
    from lime.lime_text import LimeTextExplainer

    model, text, samples = reader(), sentence(), scale.of(5000)
    run = bare.forward(model.net)
    ids = torch.from_numpy(np.repeat(model.inputs.encode(text), samples, axis=0)).long()
    calls, size = bare.best(run, ids, (64, 128, 256, 512))

    def predict(texts: list[str]) -> Array:
        rows = torch.from_numpy(model.inputs.encode([t if t.strip() else "nothing" for t in texts])).long()
        return np.concatenate([run(part) for part in rows.split(size)])

    def theirs(selection: str) -> None:
        explainer = LimeTextExplainer(feature_selection=selection, random_state=0)
        explainer.explain_instance(text, predict, num_samples=samples, num_features=6)

    sides = {
        BARE: calls,
        OURS: partial(explained, model, text, "lime", target=1, samples=samples, accelerate="none"),
        "lime": partial(theirs, "none"),
        "lime, forward selection": partial(theirs, "auto"),
    }
    remark = f"lime asks for all at once; the network is given batches of {size}"
    yield row(scale, f"LIME, {samples} texts", "LSTM on 200 words, torch", sides, 1.10, remark)
