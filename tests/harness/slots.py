"""Where Redis Cluster keeps what: slots of keys, and the hash tags that barid's partitions have by construction."""

import ctypes

SLOTS = 16384
_PER_PARTITION = SLOTS // 256


def crc16(data):
    """CRC16 (XMODEM), as Redis Cluster counts it."""
    value = 0
    for octet in data:
        value ^= octet << 8
        for _ in range(8):
            value = ((value << 1) ^ 0x1021 if value & 0x8000 else value << 1) & 0xffff
    return value


def slot_of(key):
    """The slot of a key (text or octets): of what its first pair of braces holds, if that is not empty."""
    data = key.encode() if isinstance(key, str) else key
    _, is_open, rest = data.partition(b"{")
    tag, is_closed, _ = rest.partition(b"}")
    return crc16(tag if is_open and is_closed and tag else data) % SLOTS


_tags = {}


def partition_tag(partition):
    """The shortest hexadecimal counter whose slot lies in the partition's range."""
    if not _tags:
        counter = 0
        while len(_tags) < 256:
            tag = f"{counter:x}"
            _tags.setdefault(crc16(tag.encode()) % SLOTS // _PER_PARTITION, tag)
            counter += 1
    return _tags[partition]


def partition_slot(partition):
    return slot_of(partition_tag(partition))


def partition_of(domain):
    """The partition where a domain's mail waits."""
    hash64 = ctypes.CDLL("libxxhash.so.0").XXH3_64bits
    hash64.restype, hash64.argtypes = ctypes.c_uint64, (ctypes.c_char_p, ctypes.c_size_t)
    data = domain.encode()
    return hash64(data, len(data)) % 256


COMMON_SLOT = slot_of("{c}")


def ranges(slots):
    """[(first, last)] of a collection of slots."""
    found = []
    for slot in sorted(slots):
        if found and found[-1][1] == slot - 1:
            found[-1] = (found[-1][0], slot)
        else:
            found.append((slot, slot))
    return found
