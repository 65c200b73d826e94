"""The built-in plugins. Loaded by name through the table of `engine.plugin`; imported by nobody."""
