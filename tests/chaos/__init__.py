"""Orders through real processes that are killed, frozen and lied to; see docs/chaos.md."""
