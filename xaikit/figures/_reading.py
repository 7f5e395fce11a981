"""How to read what each method gives, in two sentences of plain words."""

READING = {
    "lime": (
        "Each part carries its weight in a linear model fitted to the network's answers while random parts "
        "were hidden. Red parts raise the score when they are shown, blue parts lower it; trust it as far "
        "as the fit (R²) goes."
    ),
    "kernel-shap": (
        "Each part carries its Shapley value: the mean change of the score when it is added to other parts, "
        "so that all parts sum to the whole change. Red parts raise the score, blue parts lower it; the "
        "values are estimated from sampled sets of parts."
    ),
    "partition-shap": (
        "Each part carries its Owen value: the mean change of the score when it is added to other parts, "
        "neighbours being hidden together first. Red parts raise the score, blue parts lower it, and they "
        "sum to the whole change."
    ),
    "permutation-shap": (
        "Each part carries its Shapley value: the mean change of the score when it is added to other parts, "
        "so that all parts sum to the whole change. Red parts raise the score, blue parts lower it; the "
        "orders of adding are sampled."
    ),
    "exact-shapley": (
        "Each part carries its Shapley value: the mean change of the score when it is added to other parts, "
        "so that all parts sum to the whole change. Red parts raise the score, blue parts lower it; every "
        "set of parts was computed, nothing is estimated."
    ),
    "gradient-shap": (
        "Each place carries its share of the score's change from background samples to the input, from "
        "gradients at random points between them. Red places raise the score, blue places lower it."
    ),
    "deep-shap": (
        "Each place carries its share of the score's difference from background samples, passed back layer "
        "by layer. Red places raise the score, blue places lower it."
    ),
    "saliency": (
        "Each place shows how the score would change with a tiny increase of the input there. Red: brighter "
        "raises the score, blue: brighter lowers it; strong colour means sensitive, not necessarily "
        "important."
    ),
    "gradient-x-input": (
        "Each place shows the gradient times the input: to first order, what the place adds to the score. "
        "Red places raise the score, blue places lower it; exact only where the network is linear."
    ),
    "smooth-grad": (
        "Each place shows the gradient averaged over noisy copies of the input. Red: an increase there "
        "raises the score, blue: it lowers it; noise of the plain gradient cancels."
    ),
    "integrated-gradients": (
        "Each place carries its share of the score's change on the straight path from the baseline to the "
        "input. Red places raise the score, blue places lower it, and together they sum to the whole "
        "change."
    ),
    "sequential-integrated-gradients": (
        "Each step carries what the score changes by when it alone comes from its baseline while all others are "
        "there. Red steps raise the score, blue steps lower it; together they need not sum to the whole change."
    ),
    "temporal-integrated-gradients": (
        "Each step carries what it adds to the score when it arrives after those before it, the future being held "
        "at its baseline. Red steps raise the score, blue steps lower it, and they sum to the whole change."
    ),
    "temporal-saliency-rescaling": (
        "Each place shows how much another method's map changes when its step, and the place itself, is masked. "
        "Larger means that more depends on it; there is no sign."
    ),
    "grad-cam": (
        "Colour shows where the feature maps of one layer are active, each weighted by how much it raises "
        "the score. Red regions speak for the class; the map has the layer's coarse grid, so its edges mean "
        "little."
    ),
    "grad-cam-plus-plus": (
        "Like Grad-CAM, with weights that count each place's own positive influence, so that several "
        "objects of one class all show. Red regions speak for the class; edges are as coarse as the layer's "
        "grid."
    ),
    "layer-cam": (
        "Colour shows where the feature maps of one layer are active, weighted place by place by their "
        "positive gradient. Red regions speak for the class; edges are as coarse as the layer's grid."
    ),
    "score-cam": (
        "Colour shows where feature maps are active, each weighted by the score that the network gives when "
        "only its region is shown. Red regions speak for the class; no gradient is used."
    ),
    "guided-backprop": (
        "Each place shows the gradient with negative signals cut at every ReLU. It shows fine structure "
        "that the network reacts to, and depends little on the class: read it for edges, not for reasons."
    ),
    "deconvnet": (
        "Each place shows what a transposed network reconstructs from the score. It shows patterns that the "
        "network reacts to, and depends little on the class."
    ),
    "guided-grad-cam": (
        "Fine structure from guided backpropagation, kept only where Grad-CAM sees the class. Red and blue "
        "are the sign of the fine structure; its place is the message."
    ),
    "occlusion": (
        "Each place shows how much the score drops when a window around it is hidden. Red places raise the "
        "score when visible, blue places lower it; details finer than the window cannot be seen."
    ),
    "rise": (
        "Each place shows the mean score over random masks that leave it visible, relative to all masks. "
        "Red places go with higher scores; grain is sampling noise."
    ),
    "deep-lift": (
        "Each place carries its share of the score's difference from the baseline, passed back layer by "
        "layer with finite differences. Red places raise the score, blue places lower it, and they sum to "
        "the difference."
    ),
    "attention-rollout": (
        "Each place carries the share of it that attention has mixed into the token that is read, through all layers. "
        "Stronger means more attended to, not for or against the score: every target has the same map."
    ),
    "lrp": (
        "Each place carries the relevance that is left when the score is passed back layer by layer and "
        "kept constant. Red places speak for the score, blue places against it."
    ),
}

DEFAULT = "Each place shows how much it adds to the score. Red raises the score, blue lowers it."


def reading(method: str) -> str:
    """Say in two sentences how to read a method's result."""
    return READING.get(method, DEFAULT)
