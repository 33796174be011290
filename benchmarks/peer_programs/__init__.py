"""One small program for each tool: it reads the shards of a folder and writes which documents the tool keeps."""
