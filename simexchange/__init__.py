"""A simulated exchange and broker that speaks the DhanHQ v2 wire protocol."""
