"""Whether the patients seen lately are like those that the model was made with."""
