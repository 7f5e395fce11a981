"""The perturbation engine: what a model says when parts of its input are hidden."""
