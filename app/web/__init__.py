"""HTTP in: webhooks, health, metrics, the admin API and the page that documents them."""
