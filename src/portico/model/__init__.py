"""The decoder, assembled from its config.json and fed from its checkpoint."""
