"""What customers and engineers read, by language: gettext catalogues. Adding a language is adding a file."""
