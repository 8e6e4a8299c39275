"""What people read of an evaluation: tables, curves, and images one by one, as HTML, Markdown and text."""
