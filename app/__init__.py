"""A webhook relay for Marketo Engage."""

__version__ = "0.1.0"
