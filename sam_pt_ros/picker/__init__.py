"""The target picker: a page in the browser that shows what is tracked, and is clicked on."""
