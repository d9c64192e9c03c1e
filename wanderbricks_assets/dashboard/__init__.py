"""For people who would rather look than read: what the lake says, drawn. Nothing here computes a prediction."""
