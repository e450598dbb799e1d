"""The contract suite: binds every shape in every model."""
