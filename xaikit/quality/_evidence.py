"""What `explain(evidence="full")` checks: each check registers under its name."""

from xaikit.attribution import methods
from xaikit.attribution._evidence import Evidence, evidence
from xaikit.errors import ModelError, NotSupported, ParameterError
from xaikit.model import Model
from xaikit.progress import Progress
from xaikit.quality._asking import first
from xaikit.quality._faithfulness import faithfulness
from xaikit.quality._randomisation import randomisation
from xaikit.quality._stability import stability
from xaikit.results import Attribution, Attributions

Explained = Attribution | Attributions


@evidence("faithfulness")
def against_random(model: Model, e: Explained, progress: Progress | bool | None) -> Evidence | str:
    """Measure deletion and insertion beside random maps; not where it is not known what a hidden part is."""
    try:
        found = faithfulness(model, e, first(e).origin.seed, perturbations=0, progress=progress)
    except (NotSupported, ParameterError) as error:
        return str(error)
    return Evidence({name: a for name, a in found.quality.items() if name != "max_sensitivity"}, found.origin)


@evidence("stability")
def over_seeds(model: Model, e: Explained, progress: Progress | bool | None) -> Evidence | str:
    """Measure the rank agreement over three seeds; only of methods that chance has a part in."""
    if not methods[first(e).origin.method].stochastic:
        return "the method draws no samples"
    found = stability(model, e, progress=progress)
    return Evidence({"rank_agreement": found.rank_agreement, "seed_spread": found.spread}, found.origin)


@evidence("randomisation")
def with_random_weights(model: Model, e: Explained, progress: Progress | bool | None) -> Evidence | str:
    """Measure what is left of the map when all weights are random; only where weights can be replaced."""
    try:
        found = randomisation(model, e, seed=first(e).origin.seed, depths=1, progress=progress)
    except (NotSupported, ModelError) as error:  # the weights cannot be read, or the network not be copied
        return str(error)
    return Evidence({"randomised_similarity": found.similarity}, found.origin)
