"""`hil doctor`: checks of this machine and its boards; each problem that they find says how to fix it."""
