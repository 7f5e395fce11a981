"""The documented architectures: one module each, with one function of the same name over the neutral operations."""
