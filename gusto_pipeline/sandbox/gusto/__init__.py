"""Gusto's app-integrations API, version 2026-06-15, over made-up companies."""
