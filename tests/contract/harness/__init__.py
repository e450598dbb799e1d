"""What the contract suite stands on: the contract, a checking client, a private shop."""
