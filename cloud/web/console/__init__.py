"""The console: pages for the people who watch faults, confirm them, call and close. NiceGUI, without a build step."""
