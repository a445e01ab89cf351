"""Load balancing and request resilience."""
