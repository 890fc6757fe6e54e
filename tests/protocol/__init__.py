"""Tests of the queue's scripts against a real Redis."""
