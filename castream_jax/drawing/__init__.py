"""What pictures and pages are made with: heat maps over images, grids of them, sheets to print, pages in one file."""
