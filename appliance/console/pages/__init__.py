"""Pages of the console, one module for each entry of the menu."""
