"""Explanations in the browser: a picture is dropped, and its maps are looked at; `interface` alone knows gradio."""
