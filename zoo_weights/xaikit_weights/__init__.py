"""Trained weights of the zoo and their cards: data only, read through `xk.zoo`."""
