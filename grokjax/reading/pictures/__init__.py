"""Pictures: of one training, of arms compared, of grids, of embeddings."""
