"""What a person does to the store: replay, forget, back up. Each shows first what it would come to."""
