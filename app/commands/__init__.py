"""The commands of `relay`: a module each, small; `app.cli` gathers them."""
