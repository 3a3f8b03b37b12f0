"""The clinical explanation of a prediction: facts, the deterministic text, and a language model held to them."""
