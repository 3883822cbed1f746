"""What a memory of conversations costs: bills by the providers' cache rules, traffic, peers."""
