"""Write images to disks: formats, block maps, verification of the disk, the writer. Knows no board."""
