"""What the tests stand on: real peers on loopback, load, and the ledger. See README.md."""
