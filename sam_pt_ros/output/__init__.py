"""How results reach people: files that are written whole, CSV, and the terminal."""
