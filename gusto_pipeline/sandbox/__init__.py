"""A local server that behaves like the APIs the pipeline talks to; for the demo, development and tests."""
