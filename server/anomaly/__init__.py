"""The detector: data, training, scores that explain themselves, and the files a model is kept in; knows no web."""
