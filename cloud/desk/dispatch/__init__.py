"""Send the right person, with the right part, in time; and take home what was found."""
