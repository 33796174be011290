"""What a mixture does to a model: small models trained on mixtures, their compression, and caches of key tokens.

Only the commands of the study import this room, and only when they run: it needs PyTorch, the extra
``slimpajama[study]``. Nothing is imported here.
"""
