"""What Marketo allows, as Adobe documents it under *Marketo Integration Best Practices* and *API limits*."""

SPAN = 20.0  # seconds of the sliding window in which an instance may be called 100 times, by everybody together
