"""Check how everything around the relay is set up, and say what to do in Marketo's own menu words."""
