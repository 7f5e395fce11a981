"""Attributions of electrodes at their places on the head."""

from dataclasses import dataclass

from xaikit.arrays import Array
from xaikit.errors import many
from xaikit.results._origin import Origin, Shown, Status


@dataclass(frozen=True, eq=False)
class ScalpMap(Shown):
    """What each electrode contributed, and where it sits.

    `values` (sample, electrode); `places` (electrode, 2), to the right and to the front, in radii of the head seen from
    above; `names` of the electrodes.
    """

    values: Array
    places: Array
    names: tuple[str, ...]
    target_labels: tuple[str, ...]
    status: Status
    origin: Origin

    def __len__(self) -> int:
        """Count the samples."""
        return len(self.values)

    def __repr__(self) -> str:
        counts = f"{many(len(self), 'sample')}, {many(len(self.names), 'electrode')}"
        return f"<ScalpMap of {self.origin.method}: {counts}: {self.status}>"
