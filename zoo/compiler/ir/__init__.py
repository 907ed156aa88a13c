"""The intermediate representation: graph nodes, operations and symbolic dimensions."""
