"""The methods by what they have in common: how lists of them are laid out."""

from collections.abc import Iterable, Mapping

FAMILIES: Mapping[str, tuple[str, ...]] = {
    "perturbation": ("lime", "occlusion", "rise"),
    "Shapley values": (
        "kernel-shap",
        "partition-shap",
        "permutation-shap",
        "exact-shapley",
        "gradient-shap",
        "deep-shap",
    ),
    "gradients": ("saliency", "gradient-x-input", "smooth-grad", "integrated-gradients"),
    "class activation maps": ("grad-cam", "grad-cam-plus-plus", "layer-cam", "score-cam", "guided-grad-cam"),
    "propagation rules": ("deep-lift", "lrp", "guided-backprop", "deconvnet"),
    "attention": ("attention-rollout",),
    "step by step": (
        "sequential-integrated-gradients",
        "temporal-integrated-gradients",
        "temporal-saliency-rescaling",
    ),
}
OTHERS = "others"
"""The family of methods that are in none."""


def families(names: Iterable[str]) -> dict[str, list[str]]:
    """Give names of methods by their family, families and members in the order of the table."""
    left = list(names)
    found = {family: [m for m in members if m in left] for family, members in FAMILIES.items()}
    placed = {m for members in found.values() for m in members}
    found[OTHERS] = [m for m in left if m not in placed]
    return {family: members for family, members in found.items() if members}
