"""Marketo Engage over HTTP: one call a method, typed answers, and what each refusal means for the relay."""
