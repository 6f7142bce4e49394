# Copyright the nbdkit-tmpdisk-plugin authors.
# SPDX-License-Identifier: BSD-3-Clause
#
# For nbdsh: what every mode of nbdkit must be able to do. Two clients, one
# after the other, each find a fresh ext4 filesystem of 10 MiB at the URI in the
# environment, and can change it.

import os

for h in nbd.NBD(), nbd.NBD():
    h.set_uri_allow_local_file(True)  # certificates
    h.connect_uri(os.environ["uri"])
    assert h.get_size() == 10 << 20, h.get_size()
    assert h.pread(2, 0x438) == b"\x53\xef", "no ext4 superblock"
    assert h.pread(8, 5 << 20) != b"tmpdisk!", "not a fresh disk"
    h.pwrite(b"tmpdisk!", 5 << 20)
    h.trim(4096, 6 << 20)
    h.flush()
    assert h.pread(8, 5 << 20) == b"tmpdisk!"
    h.shutdown()
