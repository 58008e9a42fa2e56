"""The rig in people's hands, between two jobs."""
