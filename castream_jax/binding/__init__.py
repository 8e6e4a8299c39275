"""The one program from networks to maps to measures; everything that computes them goes through it."""
