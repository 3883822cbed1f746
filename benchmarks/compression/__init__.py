"""How well compressors keep what matters: the sets, the protocol, the peers."""
