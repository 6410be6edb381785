"""The senders that the relay understands: one module or folder each, which know nothing of one another."""
