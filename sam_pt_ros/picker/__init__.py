"""The target picker: a web page that shows tracked objects, and on which targets are clicked."""
