"""Can I trust this: which methods a model can serve, and how good their explanations are."""

from xaikit.quality import _evidence as _evidence  # registers the checks of explain(evidence="full")
from xaikit.quality._agreement import agreements, comparable, rank_agreement
from xaikit.quality._comparison import compare
from xaikit.quality._faithfulness import faithfulness, max_sensitivity
from xaikit.quality._parity import parity
from xaikit.quality._randomisation import randomisation
from xaikit.quality._recovery import recovery
from xaikit.quality._stability import stability
from xaikit.quality._summary import summary
from xaikit.quality.doctor import Verdict, circumstances, examine

__all__ = [
    "Verdict",
    "agreements",
    "circumstances",
    "comparable",
    "compare",
    "examine",
    "faithfulness",
    "max_sensitivity",
    "parity",
    "randomisation",
    "rank_agreement",
    "recovery",
    "stability",
    "summary",
]
