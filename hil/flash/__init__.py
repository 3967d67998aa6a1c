"""Images and the disks they go to: formats, bmap, proof of the disk, writer. Knows no board."""
