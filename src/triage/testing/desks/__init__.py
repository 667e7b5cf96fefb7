"""Fakes of the help desks, one module each; `base` is for fakes of other vendors."""
