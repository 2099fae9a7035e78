"""Loopback emulators of the four batch APIs, with personas, faults and a ledger of spending."""
