"""The building blocks of the stacks: one package per deployment model, with sibling modules."""
