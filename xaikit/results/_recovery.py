"""How well an attribution finds what is known to matter."""

from dataclasses import dataclass

from xaikit.arrays import Array
from xaikit.errors import many
from xaikit.results._origin import Origin, Shown, Status


@dataclass(frozen=True, eq=False)
class Recovery(Shown):
    """What of a known truth an explanation finds, by the sizes of its values, brought to 0..1 in each sample.

    (sample,) each: `aup` and `aur` the areas under precision and recall over the threshold from 0 to 1, `auroc` and
    `auprc` (average precision) by rank alone, `prevalence` the share of places that matter, which is the auprc of
    chance. `precision` and `recall` (sample, threshold) at `thresholds`; precision is NaN where nothing is found.
    """

    aup: Array
    aur: Array
    auroc: Array
    auprc: Array
    prevalence: Array
    thresholds: Array
    precision: Array
    recall: Array
    target_labels: tuple[str, ...]
    explained: Origin
    status: Status
    origin: Origin

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.aup)

    def __repr__(self) -> str:
        said = ", ".join(f"{n} {getattr(self, n).mean():.4g}" for n in ("aup", "aur", "auroc", "auprc"))
        return f"<Recovery by {self.explained.method} of {many(len(self), 'sample')}: {said}: {self.status}>"
