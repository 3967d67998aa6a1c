"""Magic numbers of disks, file systems and foreign formats: offset, bytes and name.

Sources: the formats' own documents, and the magic numbers of file(1).
"""

from __future__ import annotations

__all__ = ["BOOT_SECTOR", "DISKS", "FILE_SYSTEMS", "FOREIGN", "WITH_BOOT_SECTOR"]

FOREIGN = (
    (0, b"PK\x03\x04", "zip"),
    (0, b"7z\xbc\xaf\x27\x1c", "7-Zip"),
    (0, b"Rar!", "RAR"),
    (0, b"\x02\x21\x4c\x18", "legacy LZ4 (lz4 -l)"),
    (0, b"\x5d\x00\x00", "LZMA"),  # with the sizes of dictionary that are in use
    (0, b"LZIP\x01", "lzip"),
    (0, b"\x89LZO\x00", "lzop"),
    (0, b"\x1f\x8b", "gzip of an unknown method"),
    (0, b"\x1f\x9d", "compress"),
    (0, b"\x1f\xa0", "LZH"),
    (0, b"MSCF", "cabinet"),
    (0, b"MSWIM\0\0\0", "WIM"),
    (0, b"xar!", "xar"),
    (0, b"QFI\xfb", "QEMU qcow2"),
    (0, b"QED\0", "QEMU QED"),
    (0, b"KDMV", "VMware VMDK"),
    (0, b"COWD", "VMware VMDK"),
    (0, b"vhdxfile", "Hyper-V VHDX"),
    (0, b"conectix", "Virtual PC VHD"),
    (0, b"<<< ", "VirtualBox VDI"),
    (0, b"WithoutFreeSpace", "Parallels HDD"),
    (0, b"WithouFreSpacExt", "Parallels HDD"),
    (0, b"partclone-image", "partclone"),
    (0, b"\x7fELF", "ELF"),
    (0, b"%PDF-", "PDF"),
    (0, b"\x89PNG\r\n", "PNG"),
    (0, b"\xff\xd8\xff", "JPEG"),
    (0, b"GIF8", "GIF"),
    (0, b"!<arch>\n", "ar or Debian package"),
    (0, b"\xed\xab\xee\xdb", "RPM package"),
    (0, b"SQLite format 3\0", "SQLite"),
    (0, b"# Disk DescriptorFile", "VMDK descriptor (it only names a disk's files)"),
    (0, b"\xc7\x71", "cpio"),
    (0, b"\x71\xc7", "cpio"),
    (0, b"070701", "cpio"),
    (0, b"070702", "cpio"),
    (0, b"070707", "cpio"),
    (0, b"ANDROID!", "Android boot image"),
    (0, b"VNDRBOOT", "Android boot image"),
    (0, b"CrAU", "Android payload.bin"),
    (0, b"\x27\x05\x19\x56", "U-Boot legacy uImage"),
    (0, b"\xd0\x0d\xfe\xed", "device tree or FIT"),
    (0, b"UBI#", "UBI image, which is for raw flash,"),
    (0, b"\x31\x18\x10\x06", "UBIFS image, which is for raw flash,"),
    (0, b"\x85\x19\x03\x20", "JFFS2 image, which is for raw flash,"),
    (0, b"\x85\x19\x01\xe0", "JFFS2 image, which is for raw flash,"),
    (0, b"\x85\x19\x02\xe0", "JFFS2 image, which is for raw flash,"),
    (0, b"EVF\x09", "EnCase (EWF)"),
    (0, b"Bochs Virtual HD Image", "Bochs disk"),
    (0, "imageUSB".encode("utf-16-le"), "ImageUSB"),
    (4, b"SignedImage ", "Windows FFU"),
    (0, b"IMAGEWTY", "Allwinner update"),
    (0, b"RKFW", "Rockchip update"),
    (0, b"RKAF", "Rockchip update"),
    (0, b"UF2\nWQ]\x9e", "UF2"),
    (0, b"AVB0", "Android vbmeta"),
    (0, b"\xd7\xb7\xab\x1e", "Android dtbo"),
    (0, b"version https://git-lfs", "Git LFS pointer"),
    (0, b"<!DOCTYPE html", "HTML"),
    (0, b"<?xml", "XML"),
    (257, b"ustar", "tar"),
    (0x202, b"HdrS", "Linux kernel"),
    (0x24, b"\x18\x28\x6f\x01", "Linux kernel (zImage)"),
    (0x38, b"ARM\x64", "Linux kernel (Image)"),
    (0x38, b"RSC\x05", "Linux kernel (Image)"),
)
"""Offset, bytes and name of formats that are not disks."""

BOOT_SECTOR = "MBR or boot sector"

DISKS = (
    (510, b"\x55\xaa", BOOT_SECTOR),
    (512, b"EFI PART", "GPT"),
    (4096, b"EFI PART", "GPT in sectors of 4 KiB"),
    (32769, b"CD001", "ISO 9660"),
    (512, b"PM\0\0", "Apple partition map"),
    (0, b"RDSK", "Amiga partition table"),
    (508, b"\xda\xbe", "Sun disk label"),
    (0, b"\x0b\xe5\xa9\x41", "SGI disk label"),
    (512, b"WEV\x82", "BSD disk label"),
    (8196, b"eGON.BT0", "boot loader of an Allwinner chip"),
    (131076, b"eGON.BT0", "boot loader of an Allwinner chip"),
    (1024, b"\xd1\x00\x20\x40", "boot loader of an i.MX chip"),
    (1024, b"\xd1\x00\x20\x41", "boot loader of an i.MX chip"),
    (32768, b"\x3b\x8c\xdc\xfc", "boot loader of a Rockchip chip"),
    (32768, b"RKNS", "boot loader of a Rockchip chip"),
)

WITH_BOOT_SECTOR = (
    (3, b"NTFS    ", "NTFS"),
    (3, b"EXFAT   ", "exFAT"),
)
"""File systems that begin as a disk does."""

FILE_SYSTEMS = (
    (32769, b"BEA01", "UDF"),
    (1080, b"\x53\xef", "ext2, ext3 or ext4"),
    (0, b"hsqs", "SquashFS"),
    (0, b"sqsh", "SquashFS"),
    (0, b"XFSB", "XFS"),
    (65600, b"_BHRfS_M", "Btrfs"),
    (1024, b"\xe2\xe1\xf5\xe0", "EROFS"),
    (1024, b"\x10\x20\xf5\xf2", "F2FS"),
    (0, b"\x45\x3d\xcd\x28", "cramfs"),
    (0, b"-rom1fs-", "romfs"),
    (0, b"LUKS\xba\xbe", "LUKS"),
    (512, b"LABELONE", "LVM"),
    (4096, b"\xfc\x4e\x2b\xa9", "RAID"),
    (4086, b"SWAPSPACE2", "swap"),
    (52, b"ReIsEr", "ReiserFS"),
    (65588, b"ReIsEr", "ReiserFS"),
    (32768, b"JFS1", "JFS"),
    (1030, b"\x34\x34", "NILFS2"),
    (1024, b"H+\0\x04", "HFS+"),
    (1024, b"HX\0\x05", "HFS+"),
    (32, b"NXSB", "APFS"),
    (4120, b"\xc6\x85\x73\xf6\x4e\x1a\x45\xca", "bcachefs"),
    (4096, b"gDla", "Android dynamic partition (super)"),
)
