"""A small virtual machine with Debian's kernel: built from packages, kept between runs, run by QEMU."""
