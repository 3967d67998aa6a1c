"""What `hil udev` installs: the udev rule, and the systemd unit for boards that are plugged in again."""
